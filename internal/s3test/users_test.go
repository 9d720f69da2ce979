package s3test

import (
	"testing"

	"github.com/minio/minio-go/v7"
)

func TestMinimalPolicy(t *testing.T) {
	s := Run(t, Options{})
	bucket := Bucket(t, s.Target, BucketOptions{})
	root := Dial(t, s.Target)
	put(t, root, bucket, "other/a", "1")
	if err := s.AddUser(t.Context(), "backup", "backup-secret", MinimalPolicy(bucket, "folder/")); err != nil {
		t.Fatal(err)
	}
	user := Dial(t, s.As("backup", "backup-secret"))

	put(t, user, bucket, "folder/a", "1")
	wantObject(t, user, bucket, "folder/a", "1")
	if keys, err := list(t, user, bucket, "folder/"); err != nil || len(keys) != 1 {
		t.Errorf("list: %v, %v", keys, err)
	}
	if err := user.RemoveObject(t.Context(), bucket, "folder/a", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}

	// To HEAD a bucket takes ListBucket without a prefix; the answer has no body and so no better code.
	_, err := user.BucketExists(t.Context(), bucket)
	wantCode(t, "head bucket", err, "AccessDenied")
	buckets, err := user.ListBuckets(t.Context())
	if err == nil && len(buckets) > 0 {
		t.Errorf("list buckets: %v", buckets)
	}
	_, err = list(t, user, bucket, "other/")
	wantCode(t, "list elsewhere", err, "AccessDenied")
	_, err = list(t, user, bucket, "")
	wantCode(t, "list everything", err, "AccessDenied")
	_, err = tryGet(t.Context(), user, bucket, "other/a")
	wantCode(t, "get elsewhere", err, "AccessDenied")
	wantCode(t, "put elsewhere", tryPut(t, user, bucket, "other/b", nil), "AccessDenied")
	_, err = user.GetBucketVersioning(t.Context(), bucket)
	wantCode(t, "get versioning", err, "AccessDenied")
}

// Each change of a user holds when the call returns, in both directions.
func TestUserChanges(t *testing.T) {
	s := Run(t, Options{TLS: true})
	bucket := Bucket(t, s.Target, BucketOptions{})
	put(t, Dial(t, s.Target), bucket, "a", "1")
	if err := s.AddUser(t.Context(), "backup", "first-secret", MinimalPolicy(bucket, "")); err != nil {
		t.Fatal(err)
	}
	first, second := Dial(t, s.As("backup", "first-secret")), Dial(t, s.As("backup", "second-secret"))
	wantObject(t, first, bucket, "a", "1")

	if err := s.SetSecret(t.Context(), "backup", "second-secret"); err != nil {
		t.Fatal(err)
	}
	_, err := tryGet(t.Context(), first, bucket, "a")
	wantCode(t, "get with the old secret", err, "SignatureDoesNotMatch")
	wantObject(t, second, bucket, "a", "1")

	readOnly := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + bucket + `/*"]}]}`
	if err := s.SetPolicy(t.Context(), "backup", readOnly); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "put with a policy to read", tryPut(t, second, bucket, "b", nil), "AccessDenied")
	wantObject(t, second, bucket, "a", "1")

	if err := s.RemoveUser(t.Context(), "backup"); err != nil {
		t.Fatal(err)
	}
	_, err = tryGet(t.Context(), second, bucket, "a")
	wantCode(t, "get of a removed user", err, "InvalidAccessKeyId")

	for what, err := range map[string]error{
		"user who does not exist": s.RemoveUser(t.Context(), "nobody"),
		"key too short":           s.SetSecret(t.Context(), "x", "x"),
		"no policy":               s.SetPolicy(t.Context(), "backup", "{}"),
		"secret too long to seal": s.SetSecret(t.Context(), "backup", string(make([]byte, sealMaxSize))),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
