package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

// What S3 has moved to an archive is called that by each command, with what to do first.
func TestArchivedSnapshotIsReportedAsSuch(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, names := m.bucket(t), rolling(t, node, 1)
	b.plant(archive, names...)
	faults := s3test.RunHTTPFaults(t, m.server.Target)
	faults.Set(s3test.When(s3test.Download, s3test.Refuse(http.StatusForbidden, "InvalidObjectState")))
	from := append(b.flags(faults.Target), "--dir="+newStore(t))
	first := []string{"restore the object first"}
	run(t, 0, []string{names[0], "archived: restore the object first"}, words("list", from, []string{"--from=s3"})...)
	run(t, 1, first, words("verify", from, []string{"--from=s3", "--min-free=0", names[0]})...)
	run(t, 1, first, words("download", from, []string{"--min-free=0", names[0]})...)
	run(t, 1, first, words("restore", from, []string{"--from=s3", "--data-dir=" + t.TempDir() + "/data", names[0]})...)
}

// A login page of the network, or another server, is no empty bucket: nothing is uploaded, and no command says that all is well.
func TestOtherServersAnswerIsNoEmptyBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 2)
	plant(t, dir, archive, names...)
	b.plant(archive, names...)
	faults := s3test.RunHTTPFaults(t, m.server.Target)
	mirror := append(b.flags(faults.Target), "--dir="+dir)
	for _, page := range []string{"<html><body>Log in<br></body></html>", "<foo/>", "{}", "<ListBucketResult><Name>other</Name></ListBucketResult>"} {
		faults.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if r.Method != http.MethodGet {
				t.Errorf("%s %s after a listing that is none", r.Method, r.URL.Path)
			}
			_, _ = io.WriteString(w, page) // a client that breaks off needs no answer
		})
		for command, more := range map[string]string{"list": "--from=s3", "mirror": "--node=" + node, "verify": "--from=s3"} {
			p := run(t, 1, []string{"not that of the bucket"}, words(command, mirror, []string{more})...)
			if strings.Contains(p.stdout.String(), "no snapshots") {
				t.Errorf("%s of %s: %s", command, page, p.stdout.String())
			}
		}
	}
	faults.Set(nil)
	run(t, 0, []string{"0 uploaded"}, words("mirror", mirror, []string{"--node=" + node})...)
}
