package s3_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/s3"
)

// Keys that change between two Opens need no restart; what the old ones opened is refused.
func TestRotatedKeysNeedNoRestart(t *testing.T) {
	t.Parallel()
	_, c := bed(t, server.Target)
	c = asUser(t, server.Target, c.Bucket, "rotated", anything(c.Bucket))
	b := open(t, c)
	put(t, b, rolling(t, 0), []byte("x"))
	must(t, server.SetSecret(t.Context(), "bk-rotated", "another-secret-of-it"))
	_, err := b.List(t.Context())
	wantError(t, err, s3.ErrCredentials)
	write(t, c.SecretKeyFile, "another-secret-of-it")
	wantList(t, open(t, c), rolling(t, 0))
}

func anything(bucket string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::` + bucket + `","arn:aws:s3:::` + bucket + `/*"]}]}`
}

// The sources are asked in their order: files, environment, profile file, role.
func TestCredentialSourcesAreAskedInOrder(t *testing.T) {
	_, c := bed(t, server.Target)
	dir := t.TempDir()
	role := roleService(t)
	wrong := func() { t.Setenv("AWS_ACCESS_KEY_ID", "wrong-key"); t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret") }

	wrong()
	wantList(t, open(t, c)) // the files come first
	c.AccessKeyFile, c.SecretKeyFile = "", ""
	_, err := open(t, c).List(t.Context())
	wantError(t, err, s3.ErrCredentials)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	wantList(t, open(t, c))

	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write(t, filepath.Join(dir, "credentials"),
		fmt.Sprintf("[backup]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, server.SecretKey)))
	t.Setenv("AWS_PROFILE", "backup")
	wantList(t, open(t, c))

	t.Setenv("AWS_PROFILE", "nobody")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	byRole := open(t, c)
	wantList(t, byRole)
	role.Close()
	wantList(t, byRole) // a role's keys are asked for again only when they end

	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_, err = open(t, c).List(t.Context())
	wantError(t, err, s3.ErrCredentials, "set --s3-access-key-file", "environment: none", "AWS profile file")
}

// roleService gives the keys as the metadata service of a container does.
func roleService(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": server.AccessKey, "SecretAccessKey": server.SecretKey, "Expiration": time.Now().Add(time.Hour),
		})
	}))
	t.Cleanup(s.Close)
	return s
}

// A web identity is exchanged at the STS; its refusal is told, and its token is not.
func TestWebIdentityIsExchanged(t *testing.T) {
	_, c := bed(t, server.Target)
	c.AccessKeyFile, c.SecretKeyFile = "", ""
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("WebIdentityToken") != "the-token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
			`<SecretAccessKey>%s</SecretAccessKey><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			server.AccessKey, server.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	token := write(t, filepath.Join(t.TempDir(), "token"), "the-token")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup")
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	wantList(t, open(t, c))
	write(t, token, "expired-token")
	_, err := open(t, c).List(t.Context())
	wantError(t, err, s3.ErrCredentials, "web identity: ")
	if strings.Contains(err.Error(), "expired-token") {
		t.Errorf("the token shows: %v", err)
	}
}

func TestBadKeyFilesAreReported(t *testing.T) {
	t.Parallel()
	_, c := bed(t, server.Target)
	dir := t.TempDir()
	for what, file := range map[string]string{
		"no such file": filepath.Join(dir, "none"), "must contain one word": write(t, filepath.Join(dir, "two"), "two words\n"),
		"contain one word": write(t, filepath.Join(dir, "empty"), "\n"),
	} {
		d := c
		d.SecretKeyFile = file
		_, err := s3.Open(d)
		if !errors.Is(err, s3.ErrConfig) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "--s3-secret-key-file") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
