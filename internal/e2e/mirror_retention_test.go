package e2e_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// The bucket has the local policy until it gets one of its own, of which then nothing but what is given counts.
func TestPolicyOfTheBucketDecidesWhatStays(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	for name, x := range map[string]struct {
		flags       []string
		here, there int // after prune
	}{
		"default":      {nil, 26, 24},
		"local":        {[]string{"--keep-last=3"}, 3, 3},
		"bucket alone": {[]string{"--s3-keep-last=2"}, 26, 2},
		"both":         {[]string{"--keep-last=2", "--s3-keep-last=5"}, 2, 5},
		"another rule": {[]string{"--keep-last=2", "--s3-keep-within=3d"}, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 26)
			plant(t, dir, archive, names...)
			args := append(append(b.flags(m.server.Target), "--dir="+dir, "--node="+node), x.flags...)
			run(t, 0, []string{"0 waiting, 0 removed"}, words("mirror", args)...)
			b.has(names[:x.there]...)
			if x.here < len(names) {
				run(t, 0, nil, words("prune", args)...)
			} else { // without a word on what to keep here, nothing goes anywhere
				run(t, 2, []string{"no policy is given"}, words("prune", args)...)
			}
			b.has(names[:x.there]...)
			wantWhole(t, dir, x.here)
			run(t, 0, []string{"0 uploaded, 0 waiting, 0 removed"}, words("mirror", args)...)
		})
	}
}

// In a bucket with versioning what is removed is out of sight, and does not count.
func TestRemovedVersionsDoNotCount(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b := newBucket(t, m.server.Target, s3test.BucketOptions{Versioning: true})
	dir, names := newStore(t), rolling(t, node, 4)
	plant(t, dir, archive, names...)
	args := append(b.flags(m.server.Target), "--dir="+dir, "--node="+node)
	run(t, 0, []string{"4 uploaded"}, words("mirror", args)...)
	run(t, 0, []string{"2 removed"}, words("mirror", args, []string{"--s3-keep-last=2"})...)
	run(t, 0, []string{"0 uploaded, 0 waiting, 0 removed"}, words("mirror", args, []string{"--s3-keep-last=2"})...)
	b.has(names[:2]...)
	if n := len(rows(t, words("list", b.flags(m.server.Target), []string{"--from=s3"})...)); n != 2 {
		t.Errorf("list shows %d snapshots, want 2", n)
	}
	versions := 0
	for o := range b.client.ListObjects(context.Background(), b.name, minio.ListObjectsOptions{WithVersions: true}) {
		must(t, o.Err)
		if !o.IsDeleteMarker {
			versions++
		}
	}
	if versions != 4 {
		t.Errorf("%d versions are left, want 4", versions)
	}
	run(t, 0, []string{"2 uploaded"}, words("mirror", args)...) // the policy has changed its mind
	b.has(names...)
}

// Other nodes' rolling snapshots go once their node has been silent for long, but for its last; and only on request.
func TestOrphansGoOnlyOnRequest(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir := m.bucket(t), t.TempDir()
	gone, single := rolling(t, "gone", 3), rolling(t, "single", 1)
	alive := rolling(t, "alive", 2)
	fresh, err := snapshot.NewName(snapshot.RollingSet, "alive", time.Now())
	must(t, err)
	manual := strings.Replace(gone[2], "rolling_", "manual_", 1)
	own := rolling(t, node, 2)
	stay := append([]string{gone[0], single[0], fresh.String(), manual, "deeper/" + gone[2], own[0], own[1]}, alive...)
	b.plant(archive, append(stay, gone[1:]...)...)
	args := append(b.flags(m.server.Target), "--dir="+dir, "--node="+node)
	run(t, 0, []string{"0 removed"}, words("mirror", args)...)
	run(t, 0, []string{"0 removed"}, words("mirror", args, []string{"--s3-orphan-after=10y"})...)
	run(t, 0, []string{"would remove", gone[1], gone[2], "node gone has had no new snapshot since", "would remove 2 of"},
		words("prune", args, []string{"--from=s3", "--s3-orphan-after=7d", "--dry-run"})...)
	b.has(append(stay, gone[1:]...)...)
	run(t, 0, []string{"removed " + gone[1], "removed " + gone[2], "2 removed"}, words("mirror", args, []string{"--s3-orphan-after=7d"})...)
	b.has(stay...)
	run(t, 0, []string{"0 removed"}, words("mirror", args, []string{"--s3-orphan-after=7d"})...)
}

func TestForeignKeysAreNeverTouched(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 4)
	old := "rolling_" + node + "_20200101T000000Z.db.zst"
	var foreign []string
	for _, key := range []string{
		old + ".part", old + ".tmp", old + ".1", old + "~", strings.TrimSuffix(old, ".zst"), "x" + old, " " + old, "R" + old[1:], "." + old,
		strings.Replace(old, "20200101T", "20200132T", 1), strings.Replace(old, "00Z", "00", 1), strings.Replace(old, "T0", "T0.0", 1),
		strings.Replace(old, "_"+node, "", 1), strings.Replace(old, node, node+"_b", 1), strings.Replace(old, "_2020", "_-2020", 1),
		strings.Replace(old, node, node+"-b", 1), strings.Replace(old, node, "node", 1), strings.Replace(old, "rolling", "manual", 1),
		"deeper/" + old, "deeper/deeper/" + old, "notes.txt", "rolling_", "probe-1.tmp",
	} {
		foreign = append(foreign, "c1/"+key, "c10/"+key, key)
	}
	foreign = append(foreign, "c1.txt", "c10/"+names[3], "C1/"+old)
	b.plant(archive, foreign...)
	for _, key := range []string{"c1/", "c1/empty/", "c1/" + strings.Replace(old, "2020", "2019", 1) + "/"} {
		b.put(key, "")
		foreign = append(foreign, key)
	}
	b.plant(archive, "c1/"+old) // ours, to see that something goes
	plant(t, dir, archive, names...)
	args := append(b.flags(m.server.Target), "--dir="+dir, "--node="+node, "--s3-folder=c1", "--s3-keep-last=2")
	want := append([]string{"c1/" + names[0], "c1/" + names[1]}, foreign...)
	run(t, 0, []string{"2 uploaded", "1 removed"}, words("mirror", args)...)
	b.has(want...)
	run(t, 0, []string{"removed 0 of 2"}, words("prune", args, []string{"--from=s3"})...)
	run(t, 0, nil, words("check", flags(m.etcd, m.etcd.Endpoints()[0]), args, []string{"--min-free=0"})...)
	b.has(want...)
	p, _ := m.follow(t, args)
	p.next(t, "msg=mirrored", "uploaded=1", "pruned=1")
	p.next(t, "msg=mirrored", "uploaded=1", "pruned=1")
	p.stop(t, syscall.SIGTERM, 0)
	left := map[string]bool{}
	for _, key := range b.keys() {
		left[key] = true
	}
	for _, key := range foreign {
		if !left[key] {
			t.Errorf("%q is gone", key)
		}
	}
}
