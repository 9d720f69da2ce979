package s3_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/s3"
)

func TestBadConfigIsRefused(t *testing.T) {
	t.Parallel()
	for flag, change := range map[string]func(*s3.Config){
		"--s3-bucket is empty":                  func(c *s3.Config) { c.Bucket = "" },
		"--s3-bucket:":                          func(c *s3.Config) { c.Bucket = "Not_A_Bucket" },
		"--s3-endpoint is not":                  func(c *s3.Config) { c.Endpoint = "ftp://host" },
		"--s3-endpoint is not HOST":             func(c *s3.Config) { c.Endpoint = "https://" },
		"--s3-endpoint contains a user":         func(c *s3.Config) { c.Endpoint = "https://user:hunter2@host" },
		"--s3-folder":                           func(c *s3.Config) { c.Endpoint = "https://host/bucket" },
		"plain http":                            func(c *s3.Config) { c.Endpoint, c.CA = "http://host", "/ca.crt" },
		"is plain http":                         func(c *s3.Config) { c.Endpoint, c.InsecureSkipVerify = "http://host", true },
		"contradict":                            func(c *s3.Config) { c.CA, c.InsecureSkipVerify = "/ca.crt", true },
		"--s3-secret-key-file":                  func(c *s3.Config) { c.AccessKeyFile = "/x" },
		"--s3-folder:":                          func(c *s3.Config) { c.Folder = "a//b" },
		"--s3-folder: \"a/../b\"":               func(c *s3.Config) { c.Folder = "a/../b" },
		"--s3-folder is longer":                 func(c *s3.Config) { c.Folder = strings.Repeat("x", 701) },
		"contains '\\n'":                        func(c *s3.Config) { c.Folder = "a\nb" },
		"--s3-bucket-lookup":                    func(c *s3.Config) { c.Lookup = "guess" },
		"--s3-sse":                              func(c *s3.Config) { c.SSE = "aes" },
		"--s3-checksum":                         func(c *s3.Config) { c.Checksum = "sha1" },
		"--s3-object-lock-mode":                 func(c *s3.Config) { c.LockFor = time.Hour },
		"--s3-object-lock must not be negative": func(c *s3.Config) { c.LockFor = -time.Hour },
		"--s3-upload-rate":                      func(c *s3.Config) { c.UploadRate = 10 },
		"--s3-timeout and --s3-stall":           func(c *s3.Config) { c.Stall = -1 },
		"--s3-endpoint: https://h has":          func(c *s3.Config) { c.Endpoint = "https://h/?a=b" },
	} {
		c := s3.Config{Bucket: "backups"}
		must(t, c.Check())
		change(&c)
		err := c.Check()
		if !errors.Is(err, s3.ErrConfig) || !strings.Contains(err.Error(), flag) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", flag, err)
		}
		if _, openErr := s3.Open(c); !errors.Is(openErr, s3.ErrConfig) {
			t.Errorf("open with a bad %s: %v", flag, openErr)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]s3.Config{
		"s3://backups at https://s3.amazonaws.com":         {Bucket: "backups"},
		"s3://backups/a/b at https://minio.example:9000":   {Bucket: "backups", Endpoint: "minio.example:9000", Folder: "/a/b/"},
		"s3://backups at http://minio.example":             {Bucket: "backups", Endpoint: "http://minio.example/", Folder: "/", Lookup: "path"},
		"s3://backups at https://s3.eu-west-1.example.com": {Bucket: "backups", Endpoint: "https://s3.eu-west-1.example.com", Lookup: "dns", SSE: "kms:x"},
	} {
		if got := open(t, c).String(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	if s3.Class(nil) != "" || s3.Class(errors.New("x")) != "other" || s3.Class(&s3.PermissionError{Action: "s3:PutObject"}) != "permission" {
		t.Error("class of nil, of the unknown, or of a permission is wrong")
	}
	if got := (&s3.PermissionError{Action: "s3:PutObject"}).Error(); got != "no permission for s3:PutObject" {
		t.Error(got)
	}
}
