package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
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
	for _, page := range []string{"<html><body>Log in<br></body></html>", "<foo/>", "{}", "<ListBucketResult><Name>other</Name></ListBucketResult>", "<ListBucketResult/>"} {
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

// relisted answers with the server's listings, altered.
func relisted(alter func(string) string) s3test.Fault {
	return s3test.When(func(r *http.Request) bool { return r.URL.Query().Has("list-type") },
		func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			real := httptest.NewRecorder()
			next.ServeHTTP(real, r)
			_, _ = io.WriteString(w, alter(real.Body.String())) // a client that breaks off needs no answer
		})
}

// A manual pass finds in the bucket what a wrong listing lacks, or knows it from the daemon, and neither uploads nor prunes.
func TestManualMirrorDoubtsAListingThatLostEverything(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 3)
	plant(t, dir, archive, names[:2]...)
	b.plant(archive, names...)
	faults := s3test.RunHTTPFaults(t, m.server.Target)
	mirror := append(b.flags(faults.Target), "--node="+node, "--keep-last=1")
	faults.Set(relisted(func(string) string {
		return "<ListBucketResult><Name>" + b.name + "</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
	}))
	run(t, 1, []string{"the listing is wrong", "is in the bucket"}, words("mirror", mirror, []string{"--dir=" + dir})...)

	restarted := t.TempDir() // the daemon has seen the snapshots in the bucket, and the disk has none
	known, err := status.Open(snapshot.NewDir(restarted), node, status.Options{Mirror: true})
	must(t, err)
	info, err := os.Stat(archive)
	must(t, err)
	var copies []status.Copy
	for _, text := range names {
		n, err := snapshot.ParseName(text)
		must(t, err)
		copies = append(copies, status.Copy{Name: n, Size: info.Size()})
	}
	known.SetInventory(status.S3, copies, nil)
	must(t, known.Save(snapshot.NewDir(restarted), node))
	run(t, 1, []string{"the listing is wrong"}, words("mirror", mirror, []string{"--dir=" + restarted})...)
	faults.Set(nil)
	b.has(names...)
}

// A server whose listings have no sizes gets no archive twice.
func TestMirrorToAServerThatListsNoSizesUploadsOnce(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir := m.bucket(t), newStore(t)
	plant(t, dir, archive, rolling(t, node, 2)...)
	faults := s3test.RunHTTPFaults(t, m.server.Target)
	mirror := append(b.flags(faults.Target), "--node="+node, "--dir="+dir)
	info, err := os.Stat(archive)
	must(t, err)
	sizes := regexp.MustCompile("<Size>[0-9]+</Size>")
	for _, size := range []string{"", "<Size>0</Size>"} {
		faults.Set(relisted(func(listing string) string { return sizes.ReplaceAllString(listing, size) }))
		run(t, 0, nil, words("mirror", mirror)...)
		run(t, 0, []string{"0 uploaded, 0 waiting"}, words("mirror", mirror)...)
		for _, from := range []string{"all", "s3"} {
			for _, r := range rows(t, words("list", b.flags(faults.Target), []string{"--dir=" + dir, "--from=" + from})...) {
				if r.Error != "" || r.Size != info.Size() || from == "all" && len(r.Places) != 2 {
					t.Errorf("list --from %s shows %+v", from, r)
				}
			}
		}
	}
}
