package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
)

// maxPage limits what is read of a listing's page. One of 1000 keys, each of 1024 bytes that are all escaped, has 4 MB.
const maxPage = 16 << 20

// answerError marks an answer that does not come from the bucket: a login page of the network, a proxy, another server, another bucket.
type answerError struct{ what string }

func (e *answerError) Error() string { return "the answer is not that of the bucket: " + e.what }

// Unwrap returns ErrHost: the server itself was not reached.
func (e *answerError) Unwrap() error { return ErrHost }

func notS3(format string, args ...any) error { return &answerError{fmt.Sprintf(format, args...)} }

// checkAnswer returns an error for an answer that S3 would not give. minio-go takes any XML, and sometimes any body, for success: then
// a bucket would be empty, an object removed or a request permitted because somebody else has answered.
func checkAnswer(bucket string, req *http.Request, res *http.Response) error {
	query := req.URL.Query()
	var root string
	switch listed := query.Has("list-type") || query.Has("delimiter") && !query.Has("uploads"); {
	case req.Header.Get("Authorization") == "": // not for S3, but for keys
		return nil
	case res.StatusCode >= http.StatusMultipleChoices:
		return checkRefusal(req, res)
	case req.Method == http.MethodGet && query.Has("versions"):
		return checkVersions(bucket, query, res)
	case req.Method == http.MethodGet && listed:
		return checkList(bucket, query, res)
	case req.Method == http.MethodGet && query.Has("uploads"):
		root = "ListMultipartUploadsResult"
	case req.Method == http.MethodGet && query.Has("location"):
		root = "LocationConstraint"
	case req.Method == http.MethodGet && query.Has("versioning"):
		root = "VersioningConfiguration"
	case req.Method == http.MethodPost && query.Has("uploads"):
		root = "InitiateMultipartUploadResult"
	case req.Method == http.MethodPost && query.Has("uploadId"):
		root = "CompleteMultipartUploadResult"
	default:
		return checkObject(req, res)
	}
	var answer struct {
		XMLName          xml.Name
		Bucket, UploadId string
	}
	if err := readXML(res, root, &answer, &answer.XMLName); err != nil {
		return err
	}
	if root == "InitiateMultipartUploadResult" && answer.UploadId == "" {
		return fmt.Errorf("%w: the answer has no ID of an upload", ErrConnection)
	}
	return sameBucket(bucket, answer.Bucket)
}

// checkObject knows answers about one object by their headers, because the contents may be anything.
func checkObject(req *http.Request, res *http.Response) error {
	switch {
	case req.Method == http.MethodDelete && (res.StatusCode == http.StatusNoContent || res.ContentLength == 0):
		return nil
	case req.Method == http.MethodDelete:
		return notS3("it confirms nothing (%s)", described(res))
	case req.Method == http.MethodGet && res.ContentLength < 0:
		return notS3("it does not say how long it is (%s)", described(res))
	case res.Header.Get("ETag") == "":
		return notS3("it has no ETag (%s)", described(res))
	case strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && !signed(res): // some have an ETag
		return notS3("it is a web page (%s)", described(res))
	}
	return nil
}

// readXML reads the body into v and puts it back for minio-go. An S3 error with status 200 is returned as such.
func readXML(res *http.Response, root string, v any, name *xml.Name) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	if err != nil {
		return err
	}
	if len(body) > maxPage {
		return notS3("it has more than %d MiB", maxPage>>20)
	}
	putBack(res, body)
	err = xml.Unmarshal(body, v)
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return fmt.Errorf("%w: the answer is empty", ErrConnection)
	case name.Local == "Error":
		var refused minio.ErrorResponse
		if err := xml.Unmarshal(body, &refused); err != nil || refused.Code == "" {
			return notS3("an error without a code")
		}
		refused.StatusCode = res.StatusCode
		return refused
	case name.Local != "" && name.Local != root:
		return notS3("it is a <%.40s>, not a <%s> (%s)", name.Local, root, described(res))
	case err != nil && (name.Local == root || isCut(err)): // minio-go would make any text with EOF a lost connection
		return fmt.Errorf("%w: the answer is broken or cut: %s", ErrConnection, strings.ReplaceAll(err.Error(), "EOF", "end"))
	case err != nil:
		return notS3("it is not XML (%s)", described(res))
	}
	return nil
}

// putBack lets minio-go read what was read of the body.
func putBack(res *http.Response, read []byte) {
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), res.Body), res.Body}
}

// isCut reports that the XML is valid up to its end, which came early.
func isCut(err error) bool {
	syntax, ok := errors.AsType[*xml.SyntaxError](err)
	return ok && strings.Contains(syntax.Msg, "EOF")
}

// sameBucket accepts servers that leave the name out, or the tenant in front of it. Aliases of Amazon's access points stand for
// another name.
func sameBucket(ours, theirs string) error {
	_, withoutTenant, tenant := strings.Cut(ours, ":")
	switch {
	case theirs == "" || theirs == ours || tenant && theirs == withoutTenant:
		return nil
	case strings.HasSuffix(ours, "-s3alias") || strings.HasSuffix(ours, "--ol-s3"):
		return nil
	}
	return notS3("it is about the bucket %.80q", theirs)
}

// listed has what listings of both kinds say besides their keys. Some servers leave one or the other out.
type listed struct {
	Name                      string
	Prefix, MaxKeys, KeyCount *string
	IsTruncated               *bool
}

// check wants a sign that a server has listed something: an element of the right name alone can be a mock's or a default answer.
func (l listed) check(bucket string, keys int) error {
	if l.Name == "" && l.Prefix == nil && l.MaxKeys == nil && l.KeyCount == nil && l.IsTruncated == nil && keys == 0 {
		return notS3("it is an empty element, without the bucket's name or anything else of a listing")
	}
	return sameBucket(bucket, l.Name)
}

func (l listed) truncated() bool { return l.IsTruncated != nil && *l.IsTruncated }

// announced is the number of keys that the page says it has; 0: it does not say.
func (l listed) announced() int {
	if l.KeyCount == nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(*l.KeyCount)) // minio-go reports a wrong one
	return n
}

// checkList checks one page of a listing. The order of the keys is not checked, because not every server sorts them.
func checkList(bucket string, query url.Values, res *http.Response) error {
	var page struct {
		XMLName xml.Name
		listed
		NextContinuationToken string
		NextMarker            string
		EncodingType          string
		Contents              []struct{ Key string }
		CommonPrefixes        []struct{ Prefix string }
	}
	if err := readXML(res, "ListBucketResult", &page, &page.XMLName); err != nil {
		return err
	}
	keys := make([]string, 0, len(page.Contents)+len(page.CommonPrefixes))
	for _, c := range page.Contents {
		keys = append(keys, c.Key)
	}
	for _, c := range page.CommonPrefixes {
		keys = append(keys, c.Prefix)
	}
	if err := page.check(bucket, len(keys)); err != nil {
		return err
	}
	if err := sameFolder(keys, page.EncodingType, query); err != nil {
		return err
	}
	next, this := page.NextContinuationToken, query.Get("continuation-token")
	if !query.Has("list-type") { // the old version goes on after a key
		next, this = page.NextMarker, query.Get("marker")
		if n := len(page.Contents); next == "" && n > 0 {
			next = page.Contents[n-1].Key
		}
	}
	switch {
	case page.announced() > len(keys):
		return fmt.Errorf("%w: the listing announces %d keys and has %d", ErrConnection, page.announced(), len(keys))
	case !page.truncated():
		return nil
	case next == "":
		return fmt.Errorf("%w: the listing has a next page, but does not say which", ErrConnection)
	case next == this:
		return notS3("its next page is the same again")
	}
	return nil
}

func sameFolder(keys []string, encoding string, query url.Values) error {
	for _, key := range keys {
		plain := key
		if encoding == "url" {
			plain, _ = url.QueryUnescape(key) // a wrong one is minio-go's error
		}
		if !strings.HasPrefix(plain, query.Get("prefix")) {
			return notS3("it lists keys of another folder")
		}
	}
	return nil
}

// checkVersions checks one page of a listing of versions.
func checkVersions(bucket string, query url.Values, res *http.Response) error {
	type version struct{ Key, VersionId string }
	var page struct {
		XMLName xml.Name
		listed
		NextKeyMarker, NextVersionIdMarker string
		EncodingType                       string
		Version, DeleteMarker              []version
		CommonPrefixes                     []struct{ Prefix string }
	}
	if err := readXML(res, "ListVersionsResult", &page, &page.XMLName); err != nil {
		return err
	}
	var keys []string
	for _, v := range slices.Concat(page.Version, page.DeleteMarker) {
		keys = append(keys, v.Key)
		if v.VersionId == "" {
			return notS3("it lists a version without an ID")
		}
	}
	for _, c := range page.CommonPrefixes {
		keys = append(keys, c.Prefix)
	}
	if err := page.check(bucket, len(keys)); err != nil {
		return err
	}
	if err := sameFolder(keys, page.EncodingType, query); err != nil {
		return err
	}
	switch {
	case !page.truncated():
		return nil
	case page.NextKeyMarker == "":
		return fmt.Errorf("%w: the listing has a next page, but does not say which", ErrConnection)
	case page.NextKeyMarker == query.Get("key-marker") && page.NextVersionIdMarker == query.Get("version-id-marker"):
		return notS3("its next page is the same again")
	}
	return nil
}
