package doctest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/fleet"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// watches is fleet: all folders are looked at, and nothing is stored.
func watches(k *keyHolder) error {
	ctx := k.Context()
	n, data := k.archive(20000)
	for _, folder := range []string{"cluster-a/", "cluster-b/"} {
		_, err := k.root.PutObject(ctx, k.config.Bucket, folder+n.String(), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
		must(k.T, err)
	}
	c := k.config
	c.Folder = ""
	b := k.open(c)
	report, err := fleet.Look(ctx, b, c.Place(), fleet.Options{Verify: true})
	if err != nil {
		return err
	}
	if len(report.Nodes) != 2 {
		return fmt.Errorf("fleet sees %d nodes", len(report.Nodes))
	}
	for _, x := range report.Nodes {
		if !x.Verified {
			return fmt.Errorf("fleet says of %s: %q", x.Folder, x.Notes)
		}
	}
	a, err := snapshot.OpenArchive(bytes.NewReader(data), int64(len(data)))
	must(k.T, err)
	if err := k.open(k.config).PutArchive(ctx, n, a, true, nil); !errors.Is(err, s3.ErrPermission) {
		return fmt.Errorf("keys that may only read could store: %w", err)
	}
	return nil
}
