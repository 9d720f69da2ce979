package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// Which copy of a snapshot is used is said of the one that is restored, and not of another that was looked at.
func TestCopyIsReportedOnlyIfItIsUsed(t *testing.T) {
	b := newMomentBed(t)
	newest := storetest.Name(t, snapshot.RollingSet, "n1", 1)
	b.write(newest.String(), storetest.ArchiveAt(t, newest, newCluster, 820))
	other := b.copied()
	b.cut(filepath.Join(b.dir, newest.String()))
	all := b.listed(b.dir, other)
	var notices []string
	r := Request{Reference: snapshot.Latest, From: config.Anywhere, UseIntactCopy: true, Notice: func(text string) { notices = append(notices, text) }}
	e, at := r.readable(t.Context(), all, snapshot.Entry{Name: newest})
	if at.Place != config.S3 || len(notices) > 0 {
		t.Errorf("%s, %q", at.Where, notices)
	}
	older, _ := all[0].entry(b.base)
	if at := r.intactCopy(t.Context(), all, older, all[0]); at.Place != config.Local || len(notices) > 0 {
		t.Errorf("%s, %q", at.Where, notices)
	}
	want := fmt.Sprintf("warning: %s in %s is damaged: trying the copy in %s", newest, b.dir, other)
	if at := r.intactCopy(t.Context(), all, e, at); at.Place != config.S3 || len(notices) != 1 || notices[0] != want {
		t.Errorf("%s, %q, want %q", at.Where, notices, want)
	}
}

// An error about a snapshot in the bucket names both, as that about a file does with its path.
func TestManifestErrorNamesSnapshotAndPlace(t *testing.T) {
	b := newMomentBed(t)
	b.cut(filepath.Join(b.dir, b.base.String()))
	local := b.listed(b.dir)[0]
	bucket := Listing{Place: config.S3, Where: "s3://backups/f", describe: func(_ context.Context, e snapshot.Entry) Read {
		return Read{Entry: e, Err: fmt.Errorf("%w: cut off", snapshot.ErrDamaged)}
	}}
	for want, l := range map[string]Listing{
		filepath.Join(b.dir, b.base.String()) + ": damaged: ": local,
		b.base.String() + " in s3://backups/f: damaged: ":     bucket,
	} {
		_, err := l.Manifest(t.Context(), b.base)
		if !errors.Is(err, snapshot.ErrDamaged) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
