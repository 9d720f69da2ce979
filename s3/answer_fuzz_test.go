package s3

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Whatever a server answers to a request for a listing: an error of a known class, or the body as it came and one valid page.
func FuzzListingAnswer(f *testing.F) {
	const open1 = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for _, seed := range []string{
		open1 + `<Name>bucket</Name><Contents><Key>f/a</Key></Contents><KeyCount>1</KeyCount></ListBucketResult>`,
		open1 + `<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>`,
		open1 + `<EncodingType>url</EncodingType><Contents><Key>f%2Fa</Key></Contents></ListBucketResult>`,
		`<Error><Code>AccessDenied</Code></Error>`, `<!DOCTYPE a [<!ENTITY b "c">]><ListBucketResult>&b;</ListBucketResult>`, `<html>`, ``, open1,
	} {
		f.Add(seed, http.StatusOK, true)
		f.Add(seed, http.StatusForbidden, false)
	}
	f.Fuzz(func(t *testing.T, body string, status int, v2 bool) {
		url := "http://s3.example/bucket?delimiter=&prefix=f%2F"
		if v2 {
			url = "http://s3.example/bucket?list-type=2&prefix=f%2F"
		}
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "signed")
		res := &http.Response{StatusCode: status, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(body))}
		if err := checkAnswer("bucket", req, res); err != nil {
			_ = Class(&callError{kind: classify(err)})
			return
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || string(got) != body {
			t.Fatalf("the body became %q: %v", got, err)
		}
	})
}
