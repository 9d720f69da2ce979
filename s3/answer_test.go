package s3_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// says answers with a text instead of the server, as a login page of the network does.
func says(status int, kind, body string) s3test.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that breaks off needs no answer
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // likewise
	}
}

const loginPage = "<!DOCTYPE html>\n<html><head><title>Welcome to the guest network</title></head><body><p>Log in<br></body></html>"

// What is not a listing of this bucket is an error and never an empty bucket.
func TestAnswerThatIsNoListingIsAnError(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	const open1 = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	name := func(b string) string { return "<Name>" + b + "</Name>" }
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := io.WriteString(z, open1+name(c.Bucket)+"</ListBucketResult>")
	must(t, err)
	must(t, z.Close())
	for what, tc := range map[string]struct {
		kind, body string
		class      error
	}{
		"login page":         {"text/html", loginPage, s3.ErrHost},
		"valid XHTML":        {"text/html", "<html><body/></html>", s3.ErrHost},
		"another element":    {"application/xml", "<foo/>", s3.ErrHost},
		"list of buckets":    {"application/xml", "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", s3.ErrHost},
		"JSON":               {"application/json", `{"ok":true}`, s3.ErrHost},
		"text":               {"text/plain", "It works!", s3.ErrHost},
		"gzip":               {"application/xml", zipped.String(), s3.ErrHost},
		"nothing":            {"application/xml", "", s3.ErrConnection},
		"blanks":             {"application/xml", " \n", s3.ErrConnection},
		"XML declaration":    {"application/xml", `<?xml version="1.0"?>`, s3.ErrHost},
		"cut":                {"application/xml", open1 + name(c.Bucket), s3.ErrConnection},
		"cut in a tag":       {"application/xml", open1[:40], s3.ErrConnection},
		"another bucket":     {"application/xml", open1 + name("other") + "</ListBucketResult>", s3.ErrHost},
		"another folder":     {"application/xml", open1 + "<Contents><Key>x/y</Key></Contents></ListBucketResult>", s3.ErrHost},
		"fewer keys":         {"application/xml", open1 + "<KeyCount>3</KeyCount></ListBucketResult>", s3.ErrConnection},
		"no next page":       {"application/xml", open1 + "<IsTruncated>true</IsTruncated></ListBucketResult>", s3.ErrConnection},
		"empty element":      {"application/xml", "<ListBucketResult/>", s3.ErrHost},
		"empty name alone":   {"application/xml", open1 + "<Name/><foo/></ListBucketResult>", s3.ErrHost},
		"too large":          {"application/xml", open1 + "<!--" + strings.Repeat("x", 17<<20) + "--></ListBucketResult>", s3.ErrHost},
		"error without code": {"application/xml", "<Error/>", s3.ErrHost},
		"error":              {"application/xml", "<Error><Code>SlowDown</Code></Error>", s3.ErrBusy},
		"same page for ever": {
			"application/xml", open1 + "<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken></ListBucketResult>", s3.ErrHost,
		},
	} {
		t.Run(what, func(t *testing.T) {
			faults.Set(says(http.StatusOK, tc.kind, tc.body))
			entries, err := open(t, c).List(t.Context())
			wantError(t, err, tc.class, "list: ")
			if len(entries) > 0 {
				t.Errorf("with %d entries", len(entries))
			}
		})
	}
	for what, body := range map[string]string{
		"with its name": name(c.Bucket), "without its name": "<Prefix>backups/</Prefix><KeyCount>0</KeyCount>",
		"with an empty name": "<Name/><IsTruncated>false</IsTruncated>", "with a limit": "<MaxKeys>1000</MaxKeys>",
	} {
		t.Run(what, func(t *testing.T) {
			faults.Set(says(http.StatusOK, "application/xml", open1+body+"</ListBucketResult>"))
			wantList(t, open(t, c))
		})
	}
}

// A name that the server lists twice is one snapshot: otherwise it would count twice in the policy.
func TestNameThatIsListedTwiceIsOneSnapshot(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	entry := "<Contents><Key>backups/" + n.String() + "</Key><Size>5</Size><LastModified>2026-11-21T22:00:00.000Z</LastModified></Contents>"
	faults.Set(says(http.StatusOK, "application/xml",
		`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>`+entry+entry+"</ListBucketResult>"))
	wantList(t, b, n)
}

// A page of another server confirms nothing: no upload, no removal, no contents, no missing snapshot.
func TestWebPageConfirmsNothing(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n, data := rolling(t, 0), noise(1000)
	put(t, b, n, data)
	calls := map[string]func() error{
		"put":       func() error { return tryPut(t, b, rolling(t, 1), data) },
		"large put": func() error { return tryPut(t, b, rolling(t, 1), noise(part+1)) },
		"get":       func() error { _, err := get(t, b, n); return err },
		"tail":      func() error { _, _, err := b.Tail(t.Context(), n); return err },
		"remove":    func() error { return b.Remove(t.Context(), n) },
		"list":      func() error { _, err := b.List(t.Context()); return err },
		"sweep": func() error {
			_, err := b.Sweep(t.Context(), nil, func(snapshot.Name) bool { return true }, 0)
			return err
		},
	}
	withETag := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("ETag", `"5f3c-0"`)
		w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 22:00:00 GMT")
		says(http.StatusOK, "text/html", loginPage)(w, r, next)
	}
	redirect := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Location", "http://login.example/?to=s3")
		says(http.StatusFound, "text/html", "")(w, r, next)
	}
	for page, fault := range map[string]s3test.Fault{
		"200": says(http.StatusOK, "text/html; charset=utf-8", loginPage), "200 with an ETag": withETag, "302": redirect,
		"403": says(http.StatusForbidden, "text/html", loginPage), "401": says(http.StatusUnauthorized, "application/json", "{}"),
		"404": says(http.StatusNotFound, "text/html", loginPage), "511": says(http.StatusNetworkAuthenticationRequired, "text/html", loginPage),
	} {
		for call, do := range calls {
			faults.Set(fault)
			err := do()
			if page == "200 with an ETag" && (call == "put" || call == "large put") && s3.Class(err) == "checksum" {
				continue // found by comparison
			}
			t.Log(page, call)
			wantError(t, err, s3.ErrHost)
		}
	}
	faults.Set(nil)
	wantList(t, b, n)
	wantStored(t, b, n, data)
	// Only the last step is answered by another: the first ones were the server's.
	faults.Set(s3test.When(s3test.Method(http.MethodDelete), says(http.StatusOK, "text/html", loginPage)))
	wantError(t, b.Remove(t.Context(), n), s3.ErrHost, "confirms nothing", "--s3-endpoint right")
	faults.Set(s3test.When(completesUpload, says(http.StatusOK, "text/html", loginPage)))
	wantError(t, tryPut(t, b, rolling(t, 1), noise(part+1)), s3.ErrHost, "<html>")
	faults.Set(s3test.When(startsUpload, says(http.StatusOK, "application/xml", "<InitiateMultipartUploadResult/>")))
	wantError(t, tryPut(t, b, rolling(t, 1), noise(part+1)), s3.ErrConnection, "no ID")
	faults.Set(nil)
	wantList(t, b, n)
}

// What a server that is not S3 refuses says nothing about buckets and policies; what S3 refuses keeps its class.
func TestRefusalOfAnotherServerIsNamedAsThat(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	calls := map[string]func() error{
		"list": func() error { _, err := b.List(t.Context()); return err },
		"get":  func() error { _, err := get(t, b, n); return err },
		"put":  func() error { return tryPut(t, b, n, noise(1000)) },
	}
	refused := func(status int, kind, body string) func(wanted error, words ...string) {
		return func(wanted error, words ...string) {
			for call, do := range calls {
				faults.Set(says(status, kind, body))
				err := do()
				t.Log(status, kind, call)
				wantError(t, err, wanted, words...)
				if errors.Is(wanted, s3.ErrHost) && (strings.Contains(err.Error(), "policy") || strings.Contains(err.Error(), "create the bucket")) {
					t.Errorf("%v", err)
				}
			}
		}
	}
	const html, xhtml = "<html><head><title>x</title></head><body><hr>x</body></html>", `<?xml version="1.0" encoding="ISO-8859-1"?><html/>`
	for _, status := range []int{301, 302, 401, 403, 404, 405, 410, 501, 505, 511} {
		refused(status, "text/html", html)(s3.ErrHost, "--s3-endpoint right")
		refused(status, "application/xhtml+xml", xhtml)(s3.ErrHost)
		refused(status, "application/json", `{"kind":"Status","code":404}`)(s3.ErrHost)
		refused(status, "text/plain", "no such page")(s3.ErrHost)
	}
	refused(http.StatusBadRequest, "text/html", html)(s3.ErrHost)
	refused(http.StatusBadGateway, "text/html", html)(s3.ErrBusy)
	delete(calls, "put") // begins with HEAD, whose answer has no body
	for _, text := range []string{
		"<center>The plain HTTP request was sent to HTTPS port</center>", "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />Instead use the HTTPS scheme",
	} {
		refused(http.StatusBadRequest, "text/html", text)(s3.ErrConfig, "write https://")
	}
	for _, status := range []int{401, 403, 404} {
		refused(status, "application/xml", "<foo/>")(s3.ErrHost)
		refused(status, "text/plain", "")(s3.ErrHost)
	}
	refused(http.StatusForbidden, "text/html", "<Error><Code>AccessDenied</Code></Error>")(s3.ErrPermission, "policy")
	delete(calls, "get")
	refused(http.StatusNotFound, "application/xml", "<Error><Code>NoSuchBucket</Code></Error>")(s3.ErrNoBucket, "create the bucket")
}

// A page with a header of S3 is a page all the same, as those of S3's own web sites; a bare refusal with one is S3's.
func TestHeaderOfS3MakesNoPageARefusal(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	with := func(header string, next s3test.Fault) s3test.Fault {
		return func(w http.ResponseWriter, r *http.Request, h http.Handler) {
			w.Header().Set(header, "x")
			next(w, r, h)
		}
	}
	list := func(fault s3test.Fault) error {
		faults.Set(fault)
		_, err := b.List(t.Context())
		return err
	}
	wantError(t, list(with("X-Amz-Request-Id", says(http.StatusNotFound, "text/html", loginPage))), s3.ErrHost)
	wantError(t, list(with("X-Amz-Cf-Id", says(http.StatusForbidden, "text/plain", ""))), s3.ErrHost)
	wantError(t, list(with("X-Amz-Request-Id", says(http.StatusForbidden, "text/plain", ""))), s3.ErrPermission)
}

// A server that does not know the range sends all; that is no end of an archive.
func TestIgnoredRangeIsAnError(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	n := rolling(t, 0)
	put(t, b, n, noise(2*snapshot.TailSize))
	for length, want := range map[string]string{"": "how long it is", fmt.Sprint(2 * snapshot.TailSize): fmt.Sprintf("not the last %d", snapshot.TailSize)} {
		faults.Set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 22:00:00 GMT")
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			says(http.StatusOK, "application/zstd", string(noise(2*snapshot.TailSize)))(w, r, next)
		})
		_, _, err := b.Tail(t.Context(), n)
		wantError(t, err, s3.ErrHost, want)
	}
}

// A listing without end is given up before it takes the memory.
func TestEndlessListingIsAnError(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	next := 0
	faults.Set(func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		var page strings.Builder
		page.WriteString("<ListBucketResult><IsTruncated>true</IsTruncated>")
		for range 1000 {
			fmt.Fprintf(&page, "<Contents><Key>backups/%s</Key></Contents>", rolling(t, next))
			next++
		}
		fmt.Fprintf(&page, "<NextContinuationToken>%d</NextContinuationToken></ListBucketResult>", next)
		says(http.StatusOK, "application/xml", page.String())(w, r, h)
	})
	b := open(t, c)
	b.ListAtMost(4500)
	_, err := b.List(t.Context())
	wantError(t, err, s3.ErrHost, "more than 4500 snapshots")
	if next != 5000 {
		t.Errorf("%d keys were read", next)
	}
}

// Servers that know only the first version of the listing are listed with it, over several pages.
func TestListWithTheFirstVersionOfTheCall(t *testing.T) {
	t.Parallel()
	b, faults, _ := shared(t)
	for i := range 3 {
		put(t, b, rolling(t, i), []byte("x"))
	}
	v2 := func(r *http.Request) bool { return r.URL.Query().Has("list-type") }
	faults.Set(s3test.When(v2, s3test.Refuse(http.StatusNotImplemented, "NotImplemented")))
	wantList(t, b, rolling(t, 2), rolling(t, 1), rolling(t, 0))
}
