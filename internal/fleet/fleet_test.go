package fleet

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// server is shared by all tests; each has its own bucket.
var server *s3test.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = s3test.Start(context.Background(), s3test.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

// bed is a new bucket whose requests are counted.
type bed struct {
	faults *s3test.HTTPFaults
	config s3.Config
	now    time.Time
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{faults: s3test.RunHTTPFaults(t, server.Target), now: time.Now().UTC().Truncate(time.Second)}
	b.config = s3.Config{Bucket: s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true})}
	b.as(t, server.AccessKey, server.SecretKey)
	return b
}

// as uses the keys of a user.
func (b *bed) as(t *testing.T, access, secret string) {
	t.Helper()
	dir := t.TempDir()
	b.config.Endpoint, b.config.Region = b.faults.URL(), s3test.Region
	b.config.AccessKeyFile, b.config.SecretKeyFile = filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	must(t, os.WriteFile(b.config.AccessKeyFile, []byte(access), 0o600))
	must(t, os.WriteFile(b.config.SecretKeyFile, []byte(secret), 0o600))
}

func (b *bed) look(t *testing.T, o Options) (Report, error) {
	t.Helper()
	bucket, err := s3.Open(b.config)
	must(t, err)
	defer bucket.Close()
	return Look(t.Context(), bucket, b.config.Place(), o)
}

// report is a look that works.
func (b *bed) report(t *testing.T, o Options) Report {
	t.Helper()
	r, err := b.look(t, o)
	must(t, err)
	return r
}

// key is that of a scheduled snapshot which is so old.
func (b *bed) key(t *testing.T, folder, set, node string, age time.Duration) string {
	t.Helper()
	n, err := snapshot.NewName(set, node, b.now.Add(-age))
	must(t, err)
	if folder != "" {
		folder += "/"
	}
	return folder + n.String()
}

// put stores scheduled snapshots of a cluster, of these ages.
func (b *bed) put(t *testing.T, id snapshot.ID, folder, node string, ages ...time.Duration) {
	t.Helper()
	var keys []string
	for _, age := range ages {
		keys = append(keys, b.key(t, folder, snapshot.RollingSet, node, age))
	}
	s3test.PutMany(t, server.Target, b.config.Bucket, archive(t, snapshot.Source{ClusterID: id}), keys...)
}

// hourly are the ages of n snapshots, the newest of which is that old.
func hourly(newest time.Duration, n int) (out []time.Duration) {
	for i := range n {
		out = append(out, newest+time.Duration(i)*time.Hour)
	}
	return out
}

// archive is an intact one.
func archive(t *testing.T, source snapshot.Source) []byte {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	taken, err := snapshot.Take(t.Context(), fakeMember(source), dir, snapshot.TakeOptions{Set: "any", Node: "x", Stall: time.Minute})
	must(t, err)
	data, err := os.ReadFile(filepath.Join(dir.Path(), taken.Name.String()))
	must(t, err)
	return data
}

// zipped is a zip of another program.
func zipped(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	f, err := z.Create("snapshot")
	must(t, err)
	_, err = f.Write(make([]byte, 1000))
	must(t, err)
	must(t, z.Close())
	return out.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// states are the rows in their order, as STATE FOLDER NODE KEPT.
func (r Report) states() string {
	var out []string
	for _, x := range r.Nodes {
		out = append(out, fmt.Sprintf("%s %s %s %d", x.State, x.Folder, x.Node, x.Kept))
	}
	return strings.Join(out, "\n")
}

func want(t *testing.T, r Report, rows ...string) {
	t.Helper()
	if got := r.states(); got != strings.Join(rows, "\n") {
		t.Errorf("got\n%s, want\n%s", got, strings.Join(rows, "\n"))
	}
}

func TestFleetJudgesEachNodeByItsOwnRhythm(t *testing.T) {
	b := newBed(t)
	b.put(t, 1, "a", "n1", hourly(30*time.Minute, 24)...)
	b.put(t, 1, "a", "n2", hourly(5*time.Hour, 24)...)
	b.put(t, 2, "b", "n1", 20*time.Hour, 44*time.Hour, 68*time.Hour)
	b.put(t, 2, "b", "n-1.x", 20*time.Hour, 44*time.Hour)
	b.put(t, 3, "", "top", hourly(0, 3)...)
	s3test.PutMany(t, server.Target, b.config.Bucket, archive(t, snapshot.Source{ClusterID: 1}),
		b.key(t, "a", "before-upgrade", "n2", time.Minute), b.key(t, "a", "only-manual", "n3", time.Hour))
	s3test.PutMany(t, server.Target, b.config.Bucket, []byte("x"), "a/notes.txt", "a/etcd-snapshot-1.zip", "a/b\u202ec", "other/\u001b[31m.txt")
	r := b.report(t, Options{})
	want(t, r, "late a n2 24", "unknown a n3 0", "unknown b n-1.x 2", "ok  top 3", "ok a n1 24", "ok b n1 3")
	if r.Clusters != 3 || r.Snapshots != 58 || r.Others != 1 || r.Foreign != 3 || r.Nodes[0].Manual != 1 || r.Nodes[0].ClusterID != 1 {
		t.Errorf("%+v", r)
	}
	if x := r.Nodes[0]; x.Every != 3600 || x.Limit != 7500 || x.Age < 5*3600 || x.Age > 5*3600+600 {
		t.Errorf("%+v", x)
	}
	if err := r.Err(); err == nil || err.Error() != "1 of 6 nodes with problems: 1 late" {
		t.Errorf("%v", err)
	}
	want(t, b.report(t, Options{MaxAge: 26 * time.Hour}), "ok  top 3", "ok a n1 24", "ok a n2 24", "ok a n3 0", "ok b n-1.x 2", "ok b n1 3")
	r = b.report(t, Options{AnyNode: true})
	want(t, r, "unknown a n3 0", "unknown b n-1.x 2", "idle a n2 24", "ok  top 3", "ok a n1 24", "ok b n1 3")
	if r.Err() != nil {
		t.Error(r.Err())
	}
	b.config.Folder = "b"
	want(t, b.report(t, Options{}), "unknown b n-1.x 2", "ok b n1 3")
}

// Two clusters with the same node name in one folder are two lines, whether both go on or one is gone. A restored cluster goes on with the
// history of the one before it.
func TestFleetTellsClustersOfTheSameNodeNameApart(t *testing.T) {
	b := newBed(t)
	b.put(t, 0xa, "both", "n1", hourly(10*time.Minute, 10)...)
	b.put(t, 0xb, "both", "n1", hourly(20*time.Minute, 10)...)
	b.put(t, 0xa, "gone", "n1", hourly(10*time.Minute, 10)...)
	b.put(t, 0xb, "gone", "n1", hourly(240*time.Hour, 10)...)
	b.put(t, 0xb, "restored", "n1", hourly(5*time.Hour+time.Minute, 10)...)
	var keys []string
	for i := range 5 {
		keys = append(keys, b.key(t, "restored", snapshot.RollingSet, "n1", time.Duration(i)*time.Hour))
	}
	s3test.PutMany(t, server.Target, b.config.Bucket, archive(t, snapshot.Source{ClusterID: 0xc, Predecessors: []snapshot.ID{0xb}}), keys...)
	r := b.report(t, Options{})
	want(t, r, "late gone n1 10", "ok both n1 10", "ok both n1 10", "ok gone n1 10", "ok restored n1 15")
	for i, id := range []snapshot.ID{0xb, 0xa, 0xb, 0xa, 0xc} {
		if x := r.Nodes[i]; x.ClusterID != id || (i < 4) != strings.Contains(strings.Join(x.Notes, ""), "another cluster") {
			t.Errorf("%+v", x)
		}
	}
}

// Damage is found by --verify, or by the manifest alone. The exit status is that of damage.
func TestFleetVerifiesTheNewestOfEachNode(t *testing.T) {
	b := newBed(t)
	good := archive(t, snapshot.Source{ClusterID: 1})
	flipped := append([]byte{}, good...)
	flipped[20] ^= 1
	for node, data := range map[string][]byte{"flipped": flipped, "good": good, "cut": good[:len(good)-9], "empty": nil} {
		b.put(t, 1, "a", node, hourly(time.Hour, 3)...)
		s3test.PutMany(t, server.Target, b.config.Bucket, data, b.key(t, "a", snapshot.RollingSet, node, time.Minute))
	}
	s3test.PutMany(t, server.Target, b.config.Bucket, zipped(t), "a/"+b.now.Format(time.RFC3339)+"_etcd.zip")
	want(t, b.report(t, Options{}), "damaged a cut 4", "damaged a empty 4", "unknown a  1", "ok a flipped 4", "ok a good 4")
	r := b.report(t, Options{Verify: true})
	want(t, r, "damaged a cut 4", "damaged a empty 4", "damaged a flipped 4", "unknown a  1", "ok a good 4")
	if !errors.Is(r.Err(), snapshot.ErrDamaged) || !r.Nodes[4].Verified || r.Nodes[3].Verified || !strings.Contains(r.Nodes[2].Notes[0], "SHA-256") {
		t.Errorf("%v\n%+v", r.Err(), r.Nodes)
	}
}

// A damaged newest snapshot is reported next to another cluster's of the same node name too.
func TestFleetFindsDamageWhereClustersShareANodeName(t *testing.T) {
	b := newBed(t)
	b.put(t, 0xa, "both", "n1", hourly(10*time.Minute, 10)...)
	b.put(t, 0xb, "both", "n1", hourly(20*time.Minute, 10)...)
	good := archive(t, snapshot.Source{ClusterID: 0xa})
	s3test.PutMany(t, server.Target, b.config.Bucket, good[:len(good)-9], b.key(t, "both", snapshot.RollingSet, "n1", time.Minute))
	r := b.report(t, Options{})
	want(t, r, "damaged both n1 11", "ok both n1 10")
	if !errors.Is(r.Err(), snapshot.ErrDamaged) || r.Nodes[0].Age > 120 {
		t.Errorf("%v, %+v", r.Err(), r.Nodes[0])
	}
}

// Clocks: a snapshot from the future does not hide that the others are old, and the clock of this machine does not count.
func TestFleetGoesByTheServersClock(t *testing.T) {
	b := newBed(t)
	b.put(t, 1, "a", "ahead", append(hourly(5*time.Hour, 5), -1000*time.Hour)...)
	b.put(t, 1, "a", "only-ahead", -time.Hour, -2*time.Hour)
	b.put(t, 1, "a", "n1", hourly(0, 5)...)
	r := b.report(t, Options{})
	want(t, r, "late a ahead 6", "unknown a only-ahead 2", "ok a n1 5")
	if n := strings.Join(r.Nodes[0].Notes, ""); !strings.Contains(n, "dated in the future") {
		t.Errorf("%+v", r.Nodes[0])
	}
	b.faults.Set(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&clock{w, 10 * time.Hour}, req)
	})
	want(t, b.report(t, Options{}), "late a ahead 6", "late a n1 5", "unknown a only-ahead 2")
}

// clock changes the time that the server says.
type clock struct {
	http.ResponseWriter
	ahead time.Duration
}

func (c *clock) WriteHeader(status int) {
	c.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
	c.ResponseWriter.WriteHeader(status)
}

func TestFleetOfNothingIsAnError(t *testing.T) {
	b := newBed(t)
	if err := b.report(t, Options{}).Err(); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("%v", err)
	}
	s3test.PutMany(t, server.Target, b.config.Bucket, []byte("x"), "one", "a/two", "a/three.zip")
	if err := b.report(t, Options{}).Err(); err == nil || !strings.Contains(err.Error(), "1 snapshot of other programs and 2 other files") {
		t.Errorf("%v", err)
	}
	// Deleted in a versioned bucket.
	b.put(t, 1, "a", "n1", time.Hour)
	must(t, s3test.Dial(t, server.Target).RemoveObject(t.Context(), b.config.Bucket, b.key(t, "a", snapshot.RollingSet, "n1", time.Hour), minio.RemoveObjectOptions{}))
	if err := b.report(t, Options{}).Err(); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// The documented rights are enough, and each that is missing is named in one line.
func TestFleetNeedsOnlyToListAndToRead(t *testing.T) {
	b := newBed(t)
	b.put(t, 1, "a", "n1", hourly(0, 3)...)
	policy := func(actions string, on string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[%s],"Resource":["arn:aws:s3:::%s%s"]}]}`, actions, b.config.Bucket, on)
	}
	both := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::%[1]s"]},`+
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::%[1]s/*"]}]}`, b.config.Bucket)
	must(t, server.AddUser(t.Context(), "reader", "reader-secret", both))
	b.as(t, "reader", "reader-secret")
	want(t, b.report(t, Options{Verify: true}), "ok a n1 3")
	must(t, server.SetPolicy(t.Context(), "reader", policy(`"s3:ListBucket"`, "")))
	r := b.report(t, Options{Verify: true})
	want(t, r, "unreadable a n1 3")
	if r.Err() == nil || !strings.Contains(r.Nodes[0].Notes[0], "s3:GetObject") {
		t.Errorf("%v, %+v", r.Err(), r.Nodes)
	}
	must(t, server.SetPolicy(t.Context(), "reader", policy(`"s3:GetObject"`, "/*")))
	if _, err := b.look(t, Options{}); !errors.Is(err, s3.ErrPermission) || !strings.Contains(err.Error(), "allow s3:ListBucket") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

// For 250 nodes with 24 snapshots each: a listing of 6 pages, and three manifests of each node, one of which is read twice with --verify.
func TestFleetOf6000ObjectsTakes6ListingsAnd3ManifestsOfEachNode(t *testing.T) {
	b := newBed(t)
	var keys []string
	for i := range 250 {
		for h := range 24 {
			keys = append(keys, b.key(t, "fleet", snapshot.RollingSet, fmt.Sprintf("node-%03d", i), time.Duration(h)*time.Hour))
		}
	}
	s3test.PutMany(t, server.Target, b.config.Bucket, archive(t, snapshot.Source{ClusterID: 1}), keys...)
	began := time.Now()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := b.report(t, Options{})
	runtime.ReadMemStats(&after)
	t.Logf("%s, %d KiB allocated in all", time.Since(began), (after.TotalAlloc-before.TotalAlloc)>>10)
	if r.States[OK] != 250 || r.Snapshots != 6000 || r.Clusters != 1 || r.Err() != nil {
		t.Errorf("%v, %+v", r.Err(), r.States)
	}
	if n := len(b.faults.Requests()); n != 6+3*250 {
		t.Errorf("%d requests", n)
	}
}
