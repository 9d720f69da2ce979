package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

const (
	userSecret = "backup-user-s-secret"
)

// With the four permissions of the documentation everything works, and nothing is ever asked of the bucket itself.
func TestMinimalPolicySuffices(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	c = asUser(t, faults.Target, c.Bucket, "minimal", s3test.MinimalPolicy(c.Bucket, "backups/"))
	c.Region = "" // without one, nobody may be asked for it either
	b := open(t, c)
	n, data := rolling(t, 0), noise(2*part+1)
	put(t, b, n, data)
	wantStored(t, b, n, data)
	_, _, err := b.Tail(t.Context(), n)
	must(t, err)
	wantList(t, b, n)
	for _, p := range b.Probe(t.Context()) {
		if p.Err != nil && !p.Optional {
			t.Errorf("%s: %v", p.Action, p.Err)
		}
	}
	wantList(t, b, n)
	must(t, b.Remove(t.Context(), n))
	wantList(t, b)

	for _, r := range faults.Requests() {
		if strings.Trim(r.Path, "/") == "" || strings.Contains(r.Query, "location") ||
			r.Method == http.MethodHead && strings.Trim(r.Path, "/") == c.Bucket {
			t.Errorf("%s %s?%s was asked", r.Method, r.Path, r.Query)
		}
	}
	// What lies beside the folder is out of reach.
	c.Folder = "elsewhere"
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrPermission, "allow s3:ListBucket")
}

// asUser makes a user with a policy; the access key is told apart by its suffix.
func asUser(t *testing.T, target s3test.Target, bucket, suffix, policy string) s3.Config {
	t.Helper()
	key := "bk-" + suffix
	must(t, server.AddUser(t.Context(), key, userSecret, policy))
	return config(t, target.As(key, userSecret), bucket)
}

// Each missing permission is named, by the call and by the probe.
func TestMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	root, c := bed(t, server.Target)
	n := rolling(t, 0)
	put(t, root, n, []byte("x"))
	must(t, server.AddUser(t.Context(), "bk-missing", userSecret, s3test.MinimalPolicy(c.Bucket, "")))
	c = config(t, server.As("bk-missing", userSecret), c.Bucket)
	for action, call := range map[string]func(*s3.Bucket) error{
		"s3:PutObject":    func(b *s3.Bucket) error { return tryPut(t, b, rolling(t, 1), []byte("x")) },
		"s3:GetObject":    func(b *s3.Bucket) error { _, err := get(t, b, n); return err },
		"s3:ListBucket":   func(b *s3.Bucket) error { _, err := b.List(t.Context()); return err },
		"s3:DeleteObject": func(b *s3.Bucket) error { return b.Remove(t.Context(), n) },
	} {
		policy := strings.Replace(s3test.MinimalPolicy(c.Bucket, ""), `"`+action+`"`, `"s3:GetObjectTagging"`, 1)
		if action == "s3:ListBucket" {
			policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:DeleteObject"],` +
				`"Resource":["arn:aws:s3:::` + c.Bucket + `/*"]}]}`
		}
		must(t, server.SetPolicy(t.Context(), "bk-missing", policy))
		b := open(t, c)
		err := call(b)
		wantError(t, err, s3.ErrPermission, "allow "+action, b.String())
		var p *s3.PermissionError
		if !errors.As(err, &p) || p.Action != action || s3.Class(err) != "permission" || s3.Transient(err) {
			t.Errorf("%s: %+v of class %s", action, p, s3.Class(err))
		}
		for _, line := range b.Probe(t.Context()) {
			if (line.Err != nil) != (line.Action == action) && !line.Optional {
				t.Errorf("without %s, %s says: %v", action, line.Action, line.Err)
			}
		}
	}
}

func TestRefusedCredentialsAreReported(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	_, err := open(t, config(t, server.As("nobody-at-all", userSecret), c.Bucket)).List(t.Context())
	wantError(t, err, s3.ErrCredentials, "does not know these keys")
	_, err = open(t, config(t, server.As(server.AccessKey, userSecret), c.Bucket)).List(t.Context())
	if !errors.Is(err, s3.ErrCredentials) || !strings.Contains(err.Error(), "--s3-secret-key-file") || strings.Contains(err.Error(), userSecret) {
		t.Errorf("wrong secret: %v", err)
	}
	c.Bucket = "no-such-bucket"
	none := open(t, c)
	for what, err := range map[string]error{
		"put": tryPut(t, none, rolling(t, 0), []byte("x")), "large put": tryPut(t, none, rolling(t, 0), noise(part+1)),
		"list": func() error { _, err := none.List(t.Context()); return err }(),
		"get":  func() error { _, err := get(t, none, rolling(t, 0)); return err }(),
	} {
		t.Log(what)
		wantError(t, err, s3.ErrNoBucket, "--s3-bucket")
	}
	wantList(t, b)
}
