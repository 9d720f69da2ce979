package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
)

// Without the directory, as on a new host, the bucket alone shows, proves and restores as a test what the journal has.
func TestJournalInTheBucketIsListedVerifiedAndShown(t *testing.T) {
	parallel(t)
	j := newMirroredJournal(t)
	dir, remote := j.dir, j.remote
	last := change(t, dir, j.kv, func() error {
		_, err := j.kv.Put(t.Context(), "/registry/seen", "x")
		return err
	})
	at := fmt.Sprintf("revision %d", last.revision)
	eventually(t, "the bucket has the change", func() bool {
		q := start(t, words("log", []string{"--from=s3", "--prefix=/registry/seen", "--dir=" + t.TempDir(), "--all-nodes"}, remote)...)
		return q.ended(t) == 0 && q.stdout.String() != ""
	})
	j.daemon.stop(t, syscall.SIGTERM, 0)
	empty := "--dir=" + t.TempDir()
	run(t, 0, []string{"journal of ", fmt.Sprintf("(%s), s3", at)}, words("list", []string{"--from=s3", "--all-nodes", empty}, remote)...)
	run(t, 0, []string{"is intact", "  journal: ", " to " + at}, words("verify", []string{"--from=s3", empty, "--min-free=0"}, remote)...)
	run(t, 0, []string{"restored as a test with the journal: ", fmt.Sprintf("at %s,", at)}, words("verify", []string{"--restore", "--from=s3", empty, "--min-free=0"}, remote)...)
	run(t, 0, []string{"put     /registry/seen"}, words("log", []string{"--from=s3", "--all-nodes", empty}, remote)...)
	run(t, 0, []string{"any moment from ", "local+s3"}, words("list", []string{"--dir=" + dir, "--all-nodes"}, remote)...)
}
