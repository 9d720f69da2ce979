package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// A node with a key that may only add backs up as any other, and prunes its own disk only.
func TestAppendOnlyMirrorReportsNoFailure(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newBucket(t, m.server.Target, s3test.BucketOptions{Versioning: true})
	must(t, m.server.AddUser(t.Context(), "appender", "appender-secret", s3test.AppendOnlyPolicy(b.name, "")))
	mirror := append(b.flags(m.server.As("appender", "appender-secret")), "--s3-append-only")
	check := words("check", flags(m.etcd, m.etcd.Endpoints()[0]), store(newStore(t)), mirror)
	run(t, 0, []string{"these keys may not do it", "the bucket keeps old versions"}, check...)
	exposed := words("check", flags(m.etcd, m.etcd.Endpoints()[0]), store(newStore(t)), m.bucket(t).flags(m.server.Target), []string{"--s3-append-only"})
	run(t, 1, []string{"check failed: versioning, s3:DeleteObject\n", "overwrite every snapshot", "hide every snapshot"}, exposed...)
	run(t, 2, []string{"--s3-append-only", "lifecycle"}, append(check, "--s3-keep-last=9")...)
	p, dir := m.follow(t, mirror, patient)
	for range 6 { // the directory keeps three
		p.next(t, "msg=mirrored", "uploaded=1", "pruned=0", "waiting=0")
	}
	p.stop(t, syscall.SIGTERM, 0)
	if log := p.stderr.String(); strings.Contains(log, "level=error") {
		t.Errorf("an error:\n%s", log)
	}
	if n := len(b.keys()); n < 6+2 { // and two of check
		t.Errorf("the bucket has %d objects: some were removed", n)
	}
	args := words("", mirror, []string{"--dir=" + dir, "--node=" + node, "--keep-last=1"})[1:]
	run(t, 0, nil, words("prune", args, []string{"--keep-last=3"})...) // the daemon may have been stopped before it did
	run(t, 0, []string{"0 removed"}, words("mirror", args)...)
	before := b.keys()
	run(t, 0, []string{"removed 2 of 3"}, words("prune", args)...)
	run(t, 2, []string{"--s3-append-only", "--from local"}, words("prune", args, []string{"--from=all"})...)
	run(t, 2, []string{"--s3-append-only", "--from local"}, words("delete", mirror, []string{"--from=s3", before[len(before)-1]})...)
	b.has(before...)
	for _, r := range rows(t, words("list", mirror, []string{"--from=s3"})...) {
		if !strings.HasPrefix(r.Name, "rolling_") {
			t.Errorf("list shows %s", r.Name)
		}
	}
}

// What a thief has deleted or overwritten is found, marked, and restored with one more flag.
func TestRestoreSeesThroughWhatAThiefDid(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b := newBucket(t, m.server.Target, s3test.BucketOptions{ObjectLock: true})
	names := rolling(t, node, 3)
	b.plant(archive, names...)
	original, err := os.ReadFile(archive)
	must(t, err)
	altered := append([]byte{}, original...)
	altered[len(altered)/3] ^= 1
	b.put(names[0], string(altered)) // its manifest is still the original one
	must(t, b.client.RemoveObject(t.Context(), b.name, names[1], minio.RemoveObjectOptions{}))
	must(t, b.client.RemoveObject(t.Context(), b.name, names[2], minio.RemoveObjectOptions{}))

	from := b.flags(m.server.Target)
	run(t, 3, []string{"damaged"}, words("verify", from, []string{"--from=s3"})...)
	run(t, 0, []string{names[0], "overwritten in the bucket", names[1], "deleted in the bucket"}, words("list", from, []string{"--from=s3", "--s3-versions"})...)
	var listed struct {
		Snapshots []struct {
			Name      string
			Lost      s3.Loss
			VersionID string `json:"version_id"`
		}
	}
	must(t, json.Unmarshal([]byte(run(t, 0, nil, words("list", from, []string{"--from=s3", "--s3-versions", "--output=json"})...).stdout.String()), &listed))
	if len(listed.Snapshots) != len(names) {
		t.Fatalf("%d snapshots are listed, not %d", len(listed.Snapshots), len(names))
	}
	for i, want := range []s3.Loss{s3.Overwritten, s3.Deleted, s3.Deleted} {
		if got := listed.Snapshots[i]; got.Name != names[i] || got.Lost != want || got.VersionID == "" {
			t.Errorf("got %+v, want %s as %q", got, names[i], want)
		}
	}
	run(t, 0, []string{"is intact", "was overwritten in s3://", "using its version"}, words("verify", from, []string{"--from=s3", "--s3-versions"})...)
	for i, name := range names {
		to := filepath.Join(t.TempDir(), "copy")
		run(t, 0, []string{"was " + string(listed.Snapshots[i].Lost), "downloaded"}, words("download", from, []string{"--s3-versions", "--to=" + to, "--min-free=0", name})...)
		if copied, err := os.ReadFile(to); err != nil || string(copied) != string(original) {
			t.Errorf("%s: other bytes than were stored (%v)", name, err)
		}
	}
	data := filepath.Join(t.TempDir(), "data")
	run(t, 0, []string{"was deleted in s3://", "using its version"},
		words("restore", from, []string{"--from=s3", "--s3-versions", "--members=single", "--dir=" + newStore(t), "--data-dir=" + data, names[1]})...)
	if _, err := os.Stat(filepath.Join(data, "member", "snap", "db")); err != nil {
		t.Error(err)
	}
}
