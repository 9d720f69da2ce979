package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// A moment is restored from the bucket alone, on a fresh machine, and from a mixture of what disk and bucket still have.
func TestRestoreAtAMomentFromTheBucketAndFromBoth(t *testing.T) {
	parallel(t)
	j := newMirroredJournal(t, "--log-level=debug")
	client, dir := j.kv, j.dir
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%q %q", j.daemon.stderr.String(), files(t, dir), j.keys())
		}
	})
	base := filepath.Base(only(t, dir))
	var all []recorded
	for i := range 6 {
		all = append(all, change(t, dir, client, func() error {
			_, err := client.Put(t.Context(), "/registry/changing", strconv.Itoa(i))
			return err
		}))
		if i%2 == 1 { // the next one is in another segment
			eventually(t, "the segment is complete", func() bool {
				return slices.ContainsFunc(segments(t, dir), func(n snapshot.SegmentName) bool { return n.Last == all[i].revision })
			})
		}
	}
	eventually(t, "the bucket has the snapshot and all segments", func() bool {
		names := segments(t, dir)
		have := j.keys()
		return len(names) > 0 && names[len(names)-1].Last >= all[len(all)-1].revision && slices.Contains(have, base) &&
			!slices.ContainsFunc(files(t, dir), func(f string) bool { return strings.HasPrefix(f, "journal_") && !slices.Contains(have, "journal/"+f) })
	})
	j.daemon.stop(t, syscall.SIGTERM, 0)
	want := all[4]
	revision := strconv.FormatInt(want.revision, 10)
	at := func(store string, moment string, want state, says ...string) {
		t.Helper()
		data := target(t)
		run(t, 0, says, words("restore", j.remote, []string{"--dir=" + store, "--data-dir=" + data, "--at=" + moment})...)
		wantState(t, etcdtest.Default, "node1", data, want).kill()
	}
	at(filepath.Join(t.TempDir(), "none"), revision, want.state, "from s3://", "continued by the journal in s3://", "to revision "+revision)
	at(filepath.Join(t.TempDir(), "none"), "latest", all[len(all)-1].state, "from s3://")
	// One damaged object in the bucket: what comes before it is restored, each time the same, and the others are intact.
	names := slices.DeleteFunc(segments(t, dir), func(n snapshot.SegmentName) bool { return n.Last < all[0].revision }) // those that the snapshot needs
	if len(names) > 2 {
		server := plainServer.get(t)
		other := newBucket(t, server.Target, s3test.BucketOptions{})
		for _, key := range j.keys() {
			src := minio.CopySrcOptions{Bucket: j.name, Object: key}
			_, err := j.client.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: other.name, Object: key}, src)
			must(t, err)
		}
		other.put("journal/"+names[1].String(), "damaged")
		for range 3 {
			p := run(t, 0, []string{fmt.Sprintf("to revision %d", names[0].Last), "the journal has a gap or damage behind revision "}, words("restore", other.flags(server.Target),
				[]string{"--dir=" + filepath.Join(t.TempDir(), "none"), "--data-dir=" + target(t)})...)
			if n := strings.Count(p.stderr.String(), "trying without it"); n != 1 {
				t.Errorf("%d segments are not used:\n%s", n, p.stderr.String())
			}
		}
		// What one place lacks the other has: verify sees what restore sees.
		second := "journal/" + names[1].String()
		_, err := other.client.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: other.name, Object: second}, minio.CopySrcOptions{Bucket: j.name, Object: second})
		must(t, err)
		must(t, other.client.RemoveObject(t.Context(), other.name, "journal/"+names[0].String(), minio.RemoveObjectOptions{}))
		half := t.TempDir()
		must(t, os.CopyFS(half, os.DirFS(dir)))
		must(t, os.Remove(filepath.Join(half, names[1].String())))
		p := run(t, 0, []string{fmt.Sprintf("to revision %d, ", all[len(all)-1].revision), "is there and intact"},
			words("verify", other.flags(server.Target), []string{"--dir=" + half, "--min-free=0"})...)
		if strings.Contains(p.stdout.String(), "gap") {
			t.Errorf("there is no gap:\n%s", p.stdout.String())
		}
		must(t, os.Truncate(filepath.Join(half, base), 500)) // without its manifest
		for _, at := range [][]string{nil, {"--at=latest"}} {
			run(t, 0, []string{"warning: " + base + " in " + half + " is damaged: trying the copy in s3://", "continued by the journal in ", fmt.Sprintf("to revision %d", all[len(all)-1].revision)},
				words("restore", other.flags(server.Target), at, []string{"--dir=" + half, "--data-dir=" + target(t), "--dry-run"})...)
		}
		run(t, 0, []string{fmt.Sprintf("(revision %d), local+s3", all[len(all)-1].revision)}, words("list", other.flags(server.Target), []string{"--dir=" + half})...)
		whole, err := os.ReadFile(filepath.Join(dir, base))
		must(t, errors.Join(err, os.WriteFile(filepath.Join(half, base), whole, 0o600)))
		run(t, 0, []string{"gap after revision "}, words("verify", []string{"--from=local", "--dir=" + half, "--min-free=0"})...)
		flip(t, filepath.Join(half, names[0].String()))
		run(t, 3, []string{
			names[0].String() + " in " + half + ": damaged: ", "restore uses the intact copy in s3://" + j.name, fmt.Sprintf("any moment up to revision %d, received ", all[len(all)-1].revision),
		}, words("verify", j.flags(server.Target), []string{"--dir=" + half, "--min-free=0"})...)
	}
	// The disk has lost the snapshot, and then all segments but one, which is damaged.
	must(t, os.Rename(filepath.Join(dir, base), filepath.Join(t.TempDir(), base)))
	at(dir, revision, want.state, "from s3://", "continued by the journal in "+dir)
	names = segments(t, dir)
	last := len(names) - 1
	flip(t, filepath.Join(dir, names[last].String()))
	for _, n := range names[:last] {
		must(t, os.Remove(filepath.Join(dir, n.String())))
	}
	at(dir, "latest", all[len(all)-1].state, "warning: ", "damaged", "trying without it", fmt.Sprintf("to revision %d", all[len(all)-1].revision))
}
