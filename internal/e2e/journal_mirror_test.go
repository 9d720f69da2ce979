package e2e_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// segments are the segments of the journal in the bucket.
func (b *bucket) segments() (names []snapshot.SegmentName) {
	b.t.Helper()
	for _, key := range b.keys() {
		if n, err := snapshot.ParseSegmentName(filepath.Base(key)); err == nil && strings.HasPrefix(key, "journal/") {
			names = append(names, n)
		}
	}
	return names
}

// reaches reports whether the bucket has a revision.
func (b *bucket) reaches(revision int64) bool {
	b.t.Helper()
	return slices.ContainsFunc(b.segments(), func(n snapshot.SegmentName) bool { return n.Last >= revision })
}

// mirroredJournal is a daemon that records a journal, with a bucket of its own.
type mirroredJournal struct {
	*bucket
	remote []string // the flags of the bucket
	etcd   *etcdtest.Cluster
	kv     *clientv3.Client
	dir    string
	daemon *process
}

// newMirroredJournal starts the daemon, and waits for its snapshot.
func newMirroredJournal(t *testing.T, more ...string) *mirroredJournal {
	t.Helper()
	server, c := plainServer.get(t), small(t, etcdtest.Options{})
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	j := &mirroredJournal{bucket: b, remote: b.flags(server.Target), etcd: c, kv: etcdtest.Dial(t, c), dir: newStore(t)}
	j.daemon = startChecked(t, slices.Concat(journalFlags(j.dir, c), j.remote, more)...)
	j.daemon.says(t, "snapshot saved")
	return j
}

// changed makes changes, and waits until the bucket has them.
func (j *mirroredJournal) changed(t *testing.T) (last recorded) {
	t.Helper()
	all := changes(t, j.dir, j.kv)
	last = all[len(all)-1]
	eventually(t, "the bucket has the journal", func() bool { return j.reaches(last.revision) })
	return last
}

// S3 is away while keys change, and then back: everything arrives. After that the disk is lost, and each moment is restored from the bucket.
func TestJournalIsRestoredFromS3AloneAfterAnOutage(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	server := plainServer.get(t)
	client, dir, b, proxy := etcdtest.Dial(t, c), newStore(t), newBucket(t, server.Target, s3test.BucketOptions{}), s3test.RunProxy(t, server.Target)
	p := startChecked(t, slices.Concat(journalFlags(dir, c), b.flags(proxy.Target), impatient)...)
	p.says(t, "snapshot saved")
	p.says(t, "mirrored")
	first := changes(t, dir, client)
	eventually(t, "the bucket has the first changes", func() bool { return b.reaches(first[len(first)-1].revision) })
	must(t, proxy.Down())
	second := changes(t, dir, client)
	p.says(t, "mirroring the journal failed; what is on the disk is safe")
	if last := second[len(second)-1].revision; b.reaches(last) {
		t.Fatal("S3 was not away")
	}
	must(t, proxy.Up())
	p.says(t, "mirroring the journal continues")
	last := second[len(second)-1]
	eventually(t, "the bucket has all changes", func() bool { return b.reaches(last.revision) })
	p.kill()
	must(t, c.Members[0].Kill())

	empty := newStore(t)
	for moment, want := range map[string]recorded{strconv.FormatInt(second[2].revision, 10): second[2], strconv.FormatInt(first[1].revision, 10): first[1], "latest": last} {
		data := target(t)
		run(t, 0, []string{"continued by the journal in s3://" + b.name}, slices.Concat(words("restore", []string{"--dir=" + empty, "--data-dir=" + data, "--at=" + moment}), b.flags(server.Target))...)
		wantState(t, etcdtest.Default, "node1", data, want.state).kill()
	}
}

// What is left of a journal that was switched off is mirrored, and removed from both places when it is old.
func TestJournalThatWasSwitchedOffIsMirroredAndPrunedManually(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	server := plainServer.get(t)
	client, dir, b := etcdtest.Dial(t, c), newStore(t), newBucket(t, server.Target, s3test.BucketOptions{})
	for _, say := range []string{"snapshot saved", "journal continues"} {
		p := startChecked(t, journalFlags(dir, c)...)
		p.says(t, say)
		changes(t, dir, client)
		p.stop(t, syscall.SIGTERM, 0)
	}
	p := startChecked(t, words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s", "--drill-schedule=off"})...)
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	here := segments(t, dir)
	command := func(name string, says string, more ...string) {
		t.Helper()
		run(t, 0, []string{says}, slices.Concat(words(name, []string{"--dir=" + dir, "--node=" + node}, more), b.flags(server.Target))...)
	}
	command("mirror", "journal: "+strconv.Itoa(len(here))+" segments uploaded, 0 waiting, 0 removed")
	command("prune", "the journal and the snapshots that it needs stay: --journal-keep is not given", "--keep-last=1")
	command("prune", "would remove "+strconv.Itoa(len(here)-1)+" segment", "--keep-last=1", "--journal-keep=1ms", "--dry-run")
	if there := b.segments(); len(there) != len(here) || len(segments(t, dir)) != len(here) {
		t.Fatalf("the bucket has %v, the disk had %v, and now %v", there, here, segments(t, dir))
	}
	command("prune", "removed "+strconv.Itoa(len(here)-1)+" segment", "--keep-last=1", "--journal-keep=1ms")
	if there := b.segments(); len(there) != 1 || len(segments(t, dir)) != 1 {
		t.Errorf("the bucket has %v, the disk %v", there, segments(t, dir))
	}
}
