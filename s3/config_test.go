package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

func TestBadConfigIsRefused(t *testing.T) {
	t.Parallel()
	for flag, change := range map[string]func(*s3.Config){
		"--s3-bucket is empty":                  func(c *s3.Config) { c.Bucket = "" },
		"--s3-bucket:":                          func(c *s3.Config) { c.Bucket = "not/a/bucket" },
		"only lowercase letters":                func(c *s3.Config) { c.Bucket, c.Lookup = "Team_A", "dns" },
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

// Names that only a path can have work like all others, with every call.
func TestBucketNamesForPathStyle(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	for _, bucket := range []string{"Team_A", "UPPER", "tenant:backups", "tenant_1:Backups.2026", "a_b"} {
		for _, lookup := range []string{"", "auto", "path"} {
			t.Run(bucket+" "+lookup, func(t *testing.T) {
				c := config(t, fake.Target, bucket)
				c.Lookup, c.Folder = lookup, "x"+lookup
				if lookup == "" {
					must(t, fake.AddBucket(bucket))
				}
				b := open(t, c)
				for i, size := range []int{1000, part + 1000} {
					n := rolling(t, i)
					put(t, b, n, noise(size))
					wantStored(t, b, n, noise(size))
				}
				_, _, err := b.Tail(t.Context(), rolling(t, 0))
				must(t, err)
				wantList(t, b, rolling(t, 1), rolling(t, 0))
				must(t, b.Remove(t.Context(), rolling(t, 0)))
				_, err = b.Sweep(t.Context(), nil, func(snapshot.Name) bool { return true }, 0)
				must(t, err)
				for _, p := range b.Probe(t.Context()) {
					if p.Err != nil {
						t.Errorf("%s: %v", p.Action, p.Err)
					}
				}
				wantList(t, b, rolling(t, 1))
			})
		}
	}
}

// The tenant is in our name of the bucket and not in the server's.
func TestListingOfATenantsBucket(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	c.Bucket = "tenant:backups"
	for name, want := range map[string]error{"backups": nil, "tenant:backups": nil, "": nil, "other": s3.ErrHost, "tenant": s3.ErrHost} {
		faults.Set(says(http.StatusOK, "application/xml", "<ListBucketResult><Name>"+name+"</Name><IsTruncated>false</IsTruncated></ListBucketResult>"))
		if _, err := open(t, c).List(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	faults.Set(nil)
	// MinIO refuses the name itself, and not the signature over it.
	_, err := open(t, c).List(t.Context())
	wantError(t, err, s3.ErrConfig, "InvalidBucketName")
}
