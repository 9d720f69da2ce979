package main

import (
	"context"
	"fmt"
	"strings"

	"etcd-rolling-backup/snapshot"
)

// outage cuts the connection to the bucket and restores it.
func (d *demo) outage(ctx context.Context) error {
	w := &watcher{store: snapshot.NewDir(d.dir), s3: d.s3}
	err := w.until(ctx, "snapshots here and in the bucket", func() bool { return w.came > keep && w.came-w.went == keep && w.mirrored() })
	if err != nil {
		return err
	}

	step("Cut the connection to the bucket: local snapshots are taken and pruned as before")
	if err := d.s3.proxy.Down(); err != nil {
		return err
	}
	before := w.came
	err = w.until(ctx, "snapshots during the outage", func() bool { return w.came > before+keep && w.came-w.went == keep })
	if err != nil {
		return err
	}
	missing := 0
	for name := range w.here {
		if !w.there[name] {
			missing++
		}
	}
	say("%d snapshots were taken meanwhile; the bucket has %d old ones and lacks the %d on the disk", w.came-before, len(w.there), missing)

	step("Reconnect: the bucket catches up by itself")
	if err := d.s3.proxy.Up(); err != nil {
		return err
	}
	err = w.until(ctx, "the bucket to catch up", func() bool { return w.mirrored() && len(w.there) <= keepInS3 })
	if err == nil {
		say("the bucket has all %d from the disk, and %d older ones", len(w.here), len(w.there)-len(w.here))
	}
	return err
}

// sayLog prints the first log line of the outage, the last one of the mirror and the last one of all.
func sayLog(log string) error {
	var failed, mirrored, last string
	for line := range strings.Lines(log) {
		last = line
		switch {
		case strings.Contains(line, "mirroring failed") && failed == "":
			failed = line
		case strings.Contains(line, "msg=mirrored"):
			mirrored = line
		}
	}
	if failed == "" || mirrored == "" {
		return fmt.Errorf("the daemon did not log the outage:\n%s", log)
	}
	for _, line := range []string{failed, mirrored, last} {
		say("  %s", strings.TrimSpace(line))
	}
	return nil
}
