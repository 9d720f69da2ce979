package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

func TestNamedFindsAnyNameDirectlyInTheFolder(t *testing.T) {
	t.Parallel()
	bucket := s3test.Bucket(t, server.Target, s3test.BucketOptions{})
	client := s3test.Dial(t, server.Target)
	for _, key := range []string{"backups/snap1", "backups/snap1.zip", "backups/snap10", "backups/snap1/deeper.zip", "backups/a+b:c", "snap1", "backups2/snap1"} {
		_, err := client.PutObject(t.Context(), bucket, key, strings.NewReader(key), int64(len(key)), minio.PutObjectOptions{})
		must(t, err)
	}
	b := open(t, config(t, server.Target, bucket))
	for beginning, want := range map[string][]string{
		"snap1": {"snap1", "snap1.zip", "snap10"}, "a+": {"a+b:c"}, "": nil, "snap2": nil,
	} {
		entries, err := b.Named(t.Context(), beginning)
		must(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Name.String())
			if e.Size != int64(len("backups/"+e.Name.String())) {
				t.Errorf("%s has %d bytes", e.Name, e.Size)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: found %q, not %q", beginning, got, want)
		}
	}
}

func TestVersionedReportsWhetherTheBucketKeepsVersions(t *testing.T) {
	t.Parallel()
	for _, want := range []bool{false, true} {
		b := open(t, config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: want})))
		got, err := b.Versioned(t.Context())
		must(t, err)
		if got != want {
			t.Errorf("versioned: %t, not %t", got, want)
		}
	}
}

func TestKeysInMemoryOpenTheBucketAndAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{}))
	c.AccessKeyFile, c.SecretKeyFile = "", ""
	c.Keys = &s3.Keys{Access: server.AccessKey, Secret: server.SecretKey}
	_, err := open(t, c).List(t.Context())
	must(t, err)
	asJSON, err := json.Marshal(c.Keys)
	must(t, err)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", *c.Keys, c.Keys, *c.Keys, c.Keys, c.Keys), string(asJSON)} {
		if strings.Contains(text, server.SecretKey) || strings.Contains(text, server.AccessKey) {
			t.Errorf("a key is in %s", text)
		}
	}
	c.Keys.Secret = ""
	if _, err := s3.Open(c); s3.Class(err) != "config" {
		t.Errorf("one key of two: %v", err)
	}
}

func TestFindRegionWorksWhereNoneIsSet(t *testing.T) {
	t.Parallel()
	far := s3test.Run(t, s3test.Options{TLS: true})
	bucket := s3test.Bucket(t, far.Target, s3test.BucketOptions{})
	must(t, far.Stop())
	const region = "eu-central-1"
	far.Env = append(far.Env, "MINIO_SITE_REGION="+region)
	c := config(t, far.Target, bucket)
	c.Region = region
	known := open(t, c)
	far.Probe = func(ctx context.Context) error { // the usual one is for another region
		_, err := known.List(ctx)
		return err
	}
	must(t, far.Restart(t.Context()))
	c.Region = ""
	if _, err := open(t, c).List(t.Context()); s3.Class(err) != "config" {
		t.Errorf("with another region: %v", err)
	}
	c.FindRegion = true
	b := open(t, c)
	must(t, b.Put(t.Context(), rolling(t, 0), bytes.NewReader([]byte("x")), 1, nil))
	found, err := b.Named(t.Context(), "rolling")
	must(t, err)
	if len(found) != 1 {
		t.Errorf("found %v", found)
	}
	_, err = b.Versioned(t.Context())
	must(t, err)
	must(t, b.Remove(t.Context(), rolling(t, 0)))
	c.Bucket = "not-there"
	if _, err := open(t, c).List(t.Context()); s3.Class(err) != "no_bucket" {
		t.Errorf("of a missing bucket: %v", err)
	}
}
