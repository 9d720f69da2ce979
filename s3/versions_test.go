package s3_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
)

// A listing of versions that has no end, or is not of this folder, is an error.
func TestListingOfVersionsIsBounded(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	page := func(key, next string) string {
		return `<ListVersionsResult><Name>` + c.Bucket + `</Name><IsTruncated>` + map[bool]string{true: "true", false: "false"}[next != ""] + `</IsTruncated>` +
			`<NextKeyMarker>` + next + `</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>` +
			strings.Repeat(`<Version><Key>`+key+`</Key><VersionId>v</VersionId><LastModified>2026-11-21T00:00:00.000Z</LastModified></Version>`, 10) +
			`</ListVersionsResult>`
	}
	answer := ""
	faults.Set(s3test.When(func(r *http.Request) bool { return r.URL.Query().Has("versions") },
		func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(strings.Replace(answer, "NEXT", "m"+r.URL.Query().Get("key-marker"), 1)))
		}))
	b := reader(t, c)
	b.ListAtMost(50)
	for text, want := range map[string]string{
		page("backups/"+rolling(t, 0).String(), "NEXT"): "more than 500 versions",
		page("backups/"+rolling(t, 0).String(), "same"): "the same again",
		page("elsewhere/"+rolling(t, 0).String(), ""):   "another folder",
		`<ListBucketResult></ListBucketResult>`:         "not a <ListVersionsResult>",
	} {
		answer = text
		_, err := b.List(t.Context())
		wantError(t, err, s3.ErrHost, want)
	}
}

// In a bucket without versions there is just less to see.
func TestVersionsOfABucketWithoutVersions(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	n := rolling(t, 0)
	data := storetest.Archive(t, n, 20000)
	putArchive(t, b, n, data)
	r := reader(t, c)
	wantList(t, r, n)
	wantVersion(t, r, n, s3.NotLost, data)
	must(t, b.Remove(t.Context(), n))
	wantList(t, r)
}

// A server that has stored other bytes than the manifest says gives itself away by its checksum.
func TestWrongOldestVersionIsRuledOutByItsChecksum(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true}))
	b := open(t, c)
	for i, size := range []int{20000, part + 20000} {
		n := rolling(t, i)
		right := storetest.Archive(t, n, size)
		wrong := bytes.Clone(right)
		wrong[100] ^= 1
		for _, data := range [][]byte{wrong, nil, right, []byte("garbage")} {
			put(t, b, n, data)
		}
		r := reader(t, c)
		_, err := r.List(t.Context())
		must(t, err)
		wantVersion(t, r, n, s3.Overwritten, right)
	}
}
