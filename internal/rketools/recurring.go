package rketools

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Rancher has no rolling container: it takes its recurring snapshots with save --once, under names such as c-abcde-rl-fghij_2026-…, and
// relies on that call to remove the earlier ones here.

// removeRecurring removes the recurring snapshots of the cluster that are older than --retention, by the time of their files.
func (o saveOptions) removeRecurring(ctx context.Context) error {
	prefix := regexp.MustCompile(`^c-[a-z0-9].*?-`).FindString(o.name)
	if prefix == "" {
		return nil
	}
	recurring := regexp.MustCompile(`^c-[a-z0-9].*?-r.-`)
	dir := snapshot.NewDir(o.paths.Backup())
	files, err := os.ReadDir(dir.Path())
	if err != nil {
		return fmt.Errorf("remove old snapshots: %w", err)
	}
	before := time.Now().Add(-o.retention)
	for _, f := range files {
		if !f.Type().IsRegular() || !strings.HasPrefix(f.Name(), prefix) || !recurring.MatchString(f.Name()) || f.Name() == o.name+zipSuffix {
			continue
		}
		info, err := f.Info()
		if err != nil || !info.ModTime().Before(before) { // an error: another process has removed it
			continue
		}
		if err := removeFile(ctx, dir, f.Name()); err != nil {
			return fmt.Errorf("remove old snapshots: %w", err)
		}
		o.log.WithField("name", f.Name()).Info("removed old snapshot")
	}
	return nil
}
