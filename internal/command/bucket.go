package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Where snapshots are looked for or removed.
const (
	fromLocal = "local"
	fromS3    = "s3"
	fromAll   = "all"
)

// hasBucket tells whether there is a mirror.
func hasBucket(c *cli.Context) bool { return c.String("s3-bucket") != "" }

// s3Config reads the group s3; it asks no server and reads no key.
func s3Config(c *cli.Context) (s3.Config, error) {
	cfg := s3.Config{
		Bucket: c.String("s3-bucket"), Endpoint: c.String("s3-endpoint"), Region: c.String("s3-region"), Folder: c.String("s3-folder"),
		AccessKeyFile: c.String("s3-access-key-file"), SecretKeyFile: c.String("s3-secret-key-file"),
		CA: c.String("s3-ca"), InsecureSkipVerify: c.Bool("s3-insecure-skip-verify"), Lookup: c.String("s3-bucket-lookup"),
		SSE: c.String("s3-sse"), StorageClass: c.String("s3-storage-class"),
		LockMode: c.String("s3-object-lock-mode"), Checksum: c.String("s3-checksum"),
	}
	rate, err := humanize.ParseBytes(c.String("s3-upload-rate"))
	if err != nil || rate > math.MaxInt64 {
		return cfg, usagef("--s3-upload-rate: %q is not a size like 10MiB", c.String("s3-upload-rate"))
	}
	cfg.UploadRate = int64(rate)
	if cfg.LockFor, err = duration(c, "s3-object-lock"); err != nil {
		return cfg, err
	}
	if cfg.Timeout, err = positive(c, "s3-timeout"); err != nil {
		return cfg, err
	}
	if cfg.Stall, err = positive(c, "s3-stall"); err != nil {
		return cfg, err
	}
	return cfg, cfg.Check()
}

// checkS3 refuses flags of the mirror that can't work, or that no bucket goes with.
func checkS3(c *cli.Context) error {
	if hasBucket(c) {
		_, err := s3Config(c)
		return err
	}
	for _, f := range slices.Concat(s3Flags(), s3PolicyFlags()) {
		if name := f.Names()[0]; c.IsSet(name) && name != "s3-region" && name != "s3-bucket" {
			return usagef("--%s is given and --s3-bucket is not: give the bucket, or leave it out", name)
		}
	}
	return nil
}

// openBucket reads keys and certificates as they are now.
func openBucket(c *cli.Context) (*s3.Bucket, error) {
	if !hasBucket(c) {
		return nil, usagef("--s3-bucket is empty: give the bucket that mirrors the snapshots")
	}
	cfg, err := s3Config(c)
	if err != nil {
		return nil, err
	}
	return s3.Open(cfg)
}

// places reads --from. Without it both places count where there is a bucket.
func places(c *cli.Context) (local, remote bool, err error) {
	if err := checkS3(c); err != nil {
		return false, false, err
	}
	from := c.String("from")
	if from == "" {
		from = fromLocal
		if hasBucket(c) {
			from = fromAll
		}
	}
	switch from {
	case fromLocal, fromS3, fromAll:
	default:
		return false, false, usagef("--from: %q is not local, s3 or all", from)
	}
	if from != fromLocal && !hasBucket(c) {
		return false, false, usagef("--from %s needs --s3-bucket", from)
	}
	return from != fromS3, from != fromLocal, nil
}

// s3Policy is the bucket's own, or the local one when no flag of it is given, or each with its default.
func s3Policy(c *cli.Context, local retention.Policy) (retention.Policy, error) {
	given := slices.ContainsFunc(policyFlags(), func(f cli.Flag) bool {
		value := fmt.Sprint(c.Value("s3-" + f.Names()[0]))
		return value != "0" && value != "0s"
	})
	if given {
		return policyOf(c, "s3-")
	}
	return local, nil
}

func mirrorOptions(c *cli.Context, node string, local retention.Policy) (daemon.MirrorOptions, error) {
	o := daemon.MirrorOptions{
		Node: node, Locked: func(err error) bool { return errors.Is(err, s3.ErrLocked) }, Suspects: map[snapshot.Entry]bool{},
	}
	var err error
	if o.Policy, err = s3Policy(c, local); err != nil {
		return o, err
	}
	if o.OrphanAfter, err = duration(c, "s3-orphan-after"); err == nil && o.OrphanAfter < 0 {
		err = usagef("--s3-orphan-after: %s: give a duration above zero, or 0s for never", o.OrphanAfter)
	}
	return o, err
}

// mirrorPass is one pass with keys and certificates as they are now.
func mirrorPass(ctx context.Context, c *cli.Context, dir *snapshot.Dir, o daemon.MirrorOptions) (daemon.Mirrored, error) {
	b, err := openBucket(c)
	if err != nil {
		return daemon.Mirrored{}, err
	}
	defer b.Close()
	return daemon.Mirror(ctx, dir, b, o, time.Now())
}
