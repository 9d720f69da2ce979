package e2e_test

import (
	"fmt"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// Without the directory, as on a new host, the bucket alone shows, proves and restores as a test what the journal has.
func TestJournalInTheBucketIsListedVerifiedAndShown(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	server := s3test.Run(t, s3test.Options{})
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	remote := b.flags(server.Target)
	client := etcdtest.Dial(t, c)
	p := start(t, append(journalFlags(dir, c), remote...)...)
	eventually(t, "there is a snapshot", func() bool { return len(listed(t, dir)) == 1 })
	last := change(t, dir, client, func() error {
		_, err := client.Put(t.Context(), "/registry/seen", "x")
		return err
	})
	at := fmt.Sprintf("revision %d", last.revision)
	eventually(t, "the bucket has the change", func() bool {
		q := start(t, words("log", []string{"--from=s3", "--prefix=/registry/seen", "--dir=" + t.TempDir(), "--all-nodes"}, remote)...)
		return q.ended(t) == 0 && q.stdout.String() != ""
	})
	p.stop(t, syscall.SIGTERM, 0)
	empty := "--dir=" + t.TempDir()
	run(t, 0, []string{"journal of ", fmt.Sprintf("(%s), s3", at)}, words("list", []string{"--from=s3", "--all-nodes", empty}, remote)...)
	run(t, 0, []string{"is intact", "  journal: ", " to " + at}, words("verify", []string{"--from=s3", empty, "--min-free=0"}, remote)...)
	run(t, 0, []string{"restored as a test with the journal: ", fmt.Sprintf("at %s,", at)}, words("verify", []string{"--restore", "--from=s3", empty, "--min-free=0"}, remote)...)
	run(t, 0, []string{"put     /registry/seen"}, words("log", []string{"--from=s3", "--all-nodes", empty}, remote)...)
	run(t, 0, []string{"any moment from ", "local+s3"}, words("list", []string{"--dir=" + dir, "--all-nodes"}, remote)...)
}
