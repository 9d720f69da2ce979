package config

import (
	"errors"
	"strings"
	"testing"

	"etcd-rolling-backup/retention"
)

// The bucket's lifecycle and a policy of ours would contradict each other, so only one of them is accepted.
func TestAppendOnlyRefusesAPolicyForTheBucket(t *testing.T) {
	cfg, err := read(t, "--s3-bucket=backups", "--s3-append-only", "--keep-last=3", "--keep-daily=2")
	must(t, err)
	if want := (Mirror{Policy: retention.Policy{Last: retention.Unlimited}}); cfg.Mirror != want || !cfg.S3.AppendOnly || cfg.Policy.Last != 3 {
		t.Errorf("got %+v and %+v, want all kept in the bucket", cfg.Mirror, cfg.Policy)
	}
	for _, more := range []string{"--s3-keep-last=3", "--s3-keep-daily=2", "--s3-keep-within=7d", "--s3-orphan-after=7d"} {
		_, err := read(t, "--s3-bucket=backups", "--s3-append-only", more)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "lifecycle") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", more, err)
		}
	}
	if _, err := read(t, "--s3-append-only"); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--s3-bucket is not") {
		t.Errorf("without a bucket: %v", err)
	}
}
