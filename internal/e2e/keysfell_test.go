package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// deleteAll deletes what a range of keys has, and compacts, so that etcd itself can't return it. Its file keeps its size.
func deleteAll(t testing.TB, client *clientv3.Client, key string, o ...clientv3.OpOption) {
	t.Helper()
	r, err := client.Delete(t.Context(), key, o...)
	must(t, err)
	if r.Deleted == 0 {
		t.Fatalf("no keys at %q", key)
	}
	_, err = client.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
}

// earlier gives all snapshots, on the disk and in the bucket, the names that they would have if all had happened so much earlier, and takes
// away what the daemon remembers. No daemon runs.
func earlier(t testing.TB, dir string, b *bucket, by time.Duration) {
	t.Helper()
	must(t, os.Remove(statusFile(dir)))
	for _, e := range listed(t, dir) {
		redate(t, dir, e.Name, e.Name.Time.Add(-by))
	}
	for _, key := range b.keys() {
		n, err := snapshot.ParseName(key)
		must(t, err)
		to, err := snapshot.NewName(n.Set, n.Node, n.Time.Add(-by))
		must(t, err)
		_, err = b.client.CopyObject(context.Background(), minio.CopyDestOptions{Bucket: b.name, Object: to.String()}, minio.CopySrcOptions{Bucket: b.name, Object: key})
		must(t, err)
		must(t, b.client.RemoveObject(context.Background(), b.name, key, minio.RemoveObjectOptions{}))
	}
}

// keysBed is an etcd that loses all its keys under a daemon that keeps three snapshots.
type keysBed struct {
	etcd   *etcdtest.Cluster
	dir    string
	bucket *bucket
	s3     []string // flags
	args   [][]string
}

func newKeysBed(t *testing.T, o etcdtest.Options) *keysBed {
	t.Helper()
	server := plainServer.get(t)
	b := &keysBed{etcd: small(t, o), dir: newStore(t), bucket: newBucket(t, server.Target, s3test.BucketOptions{})}
	b.s3 = b.bucket.flags(server.Target)
	b.args = [][]string{flags(b.etcd, b.etcd.Members[0].Endpoint), b.s3, {"--schedule=@every 2s", "--keep-last=3", "--drill-schedule=off"}}
	return b
}

// cycles waits for so many more snapshots and passes of the mirror.
func (w *watched) cycles(t *testing.T, n int) {
	t.Helper()
	count := func(words string) int { return strings.Count(w.stderr.String(), words) }
	saved, mirrored := count("snapshot saved")+n, count("msg=mirrored")+n
	eventually(t, fmt.Sprintf("there were %d more cycles", n), func() bool { return count("snapshot saved") >= saved && count("msg=mirrored") >= mirrored })
}

// has demands that a snapshot is on the disk and in the bucket.
func (b *keysBed) has(t *testing.T, name string) {
	t.Helper()
	if !slices.ContainsFunc(listed(t, b.dir), func(e snapshot.Entry) bool { return e.Name.String() == name }) {
		t.Errorf("%s is gone from the disk: %q", name, files(t, b.dir))
	}
	if !slices.Contains(b.bucket.keys(), name) {
		t.Errorf("%s is gone from the bucket: %q", name, b.bucket.keys())
	}
}

// reports demands that health, page, metrics and log say that the keys are gone.
func (b *keysBed) reports(t *testing.T, w *watched, good string, keys int64) {
	t.Helper()
	w.ready(t, http.StatusServiceUnavailable, "the newest snapshot has 0 keys, less than half of the ")
	w.ready(t, http.StatusServiceUnavailable, "restore "+good)
	w.has(t, "newest_keys", 0)
	w.has(t, "compared_keys", float64(keys))
	w.says(t, "less than half of the")
	_, page := w.get(t, "/")
	for _, words := range []string{"Needs attention", "the newest snapshot has 0 keys", "keys fell", good + ", from before the loss, has "} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
}

// All keys are deleted and compacted under a small policy. 22 hours later the data can still be restored, from the disk and from the bucket,
// and everything says that it is gone from etcd.
func TestDeletedKeysAreReportedAndRestorable22HoursLater(t *testing.T) {
	parallel(t)
	b := newKeysBed(t, etcdtest.Options{})
	client := etcdtest.Dial(t, b.etcd)
	want := stateOf(t, client)
	w := watch(t, b.dir, b.args...)
	w.cycles(t, 2)
	w.ready(t, http.StatusOK, "ok")
	w.has(t, "newest_keys", float64(want.keys))
	w.stop(t, syscall.SIGTERM, 0) // so that it is known which snapshot is the last good one
	good := listed(t, b.dir)[0].Name
	deleteAll(t, client, "\x00", clientv3.WithFromKey())

	w = watch(t, b.dir, b.args...)
	w.cycles(t, 6)
	b.has(t, good.String())
	b.reports(t, w, good.String(), want.keys)
	w.stop(t, syscall.SIGTERM, 0)

	earlier(t, b.dir, b.bucket, 22*time.Hour)
	early, err := snapshot.NewName(good.Set, good.Node, good.Time.Add(-22*time.Hour))
	must(t, err)
	p := run(t, 0, []string{"from before the keys fell to less than half"}, words("prune", b.s3, []string{"--dir=" + b.dir, "--node=" + node, "--keep-last=1", "--dry-run"})...)
	if strings.Count(p.stdout.String(), "from before the keys fell") != 2 {
		t.Errorf("prune does not keep it in both places:\n%s", p.stdout.String())
	}
	w = watch(t, b.dir, b.args...)
	alerts := newPrometheus(t, strings.TrimPrefix(w.base, "http://"))
	w.cycles(t, 6)
	b.has(t, early.String())
	b.reports(t, w, early.String(), want.keys)
	w.says(t, "guarded=")
	eventually(t, "the alert EtcdBackupKeysFell fired", func() bool {
		raised, err := alerts.raised()
		return err == nil && raised["EtcdBackupKeysFell"] == "firing"
	})
	list := run(t, 0, []string{"KEYS"}, words("list", b.s3, []string{"--dir=" + b.dir})...)
	row := func(l string) bool {
		return strings.HasPrefix(l, early.String()) && slices.Contains(strings.Fields(l), fmt.Sprint(want.keys))
	}
	if !slices.ContainsFunc(strings.Split(list.stdout.String(), "\n"), row) {
		t.Errorf("list does not show the %d keys of %s:\n%s", want.keys, early, list.stdout.String())
	}
	w.stop(t, syscall.SIGTERM, 0)
	lost := []string{"has 0 keys, less than half of the ", "use " + early.String()} // whoever does not give its name is warned
	for _, from := range []string{"local", "s3"} {
		run(t, 0, lost, words("restore", b.s3, []string{"--dir=" + b.dir, "--from=" + from, "--members=single", "--dry-run", "--data-dir=" + t.TempDir()})...)
	}
	c := run(t, 0, nil, words("check", b.args[0], b.s3, []string{"--dir=" + b.dir, "--node=" + node, "--listen=off"})...)
	if text := c.stdout.String(); !strings.Contains(text, "restore "+early.String()) {
		t.Errorf("check does not report the loss:\n%s", text)
	}
	for _, from := range []string{"local", "s3"} {
		data := filepath.Join(t.TempDir(), "data")
		run(t, 0, nil, words("restore", b.s3, []string{"--dir=" + b.dir, "--from=" + from, "--members=single", "--data-dir=" + data, early.String()})...)
		wantState(t, "3.7", "default", data, want)
	}
}

// Once as many keys are there again, nothing is reported, also after a restart. They may be other keys: what had the lost ones stays for a day.
func TestRecoveredKeysEndTheReportAndNotTheProtection(t *testing.T) {
	parallel(t)
	b := newKeysBed(t, etcdtest.Options{Version: "3.4"})
	client := etcdtest.Dial(t, b.etcd)
	keys := stateOf(t, client).keys
	w := watch(t, b.dir, b.args...)
	w.cycles(t, 1)
	w.stop(t, syscall.SIGTERM, 0)
	good := listed(t, b.dir)[0].Name.String()
	deleteAll(t, client, "\x00", clientv3.WithFromKey())
	w = watch(t, b.dir, b.args...)
	w.ready(t, http.StatusServiceUnavailable, "the newest snapshot has 0 keys, less than half of the ")
	for i := range keys + 1 {
		_, err := client.Put(t.Context(), fmt.Sprintf("/back/%d", i), strings.Repeat("x", 4<<10))
		must(t, err)
	}
	w.ready(t, http.StatusOK, "ok")
	w.cycles(t, 5)
	eventually(t, "the policy and the guard kept a few", func() bool { return len(listed(t, b.dir)) == 3+2 })
	b.has(t, good)
	w.stop(t, syscall.SIGTERM, 0)
	w = watch(t, b.dir, b.args...)
	w.cycles(t, 4)
	w.ready(t, http.StatusOK, "ok")
	b.has(t, good)
}
