package source

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// copied copies the directory to another place.
func (b *momentBed) copied() string {
	b.Helper()
	other := b.TempDir()
	if err := os.CopyFS(other, os.DirFS(b.dir)); err != nil {
		b.Fatal(err)
	}
	return other
}

// flip changes one byte of a file, so that only who reads all of it notices.
func (b *momentBed) flip(path string) {
	b.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data[100] ^= 0xff
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// listed lists directories, the second one as if it were a bucket.
func (b *momentBed) listed(dirs ...string) (all []Listing) {
	b.Helper()
	for i, dir := range dirs {
		found, failed := Places{Dir: dir}.List(b.Context())
		if len(failed) > 0 {
			b.Fatal(failed[0])
		}
		b.Cleanup(found[0].Close)
		if i > 0 {
			found[0].Place = config.S3
		}
		all = append(all, found...)
	}
	return all
}

// What is damaged in one place and intact in another can be restored, and so it is proven.
func TestProofUsesTheIntactCopyOfADamagedSegment(t *testing.T) {
	for name, x := range map[string]struct {
		harm func(b *momentBed, path, other string)
		last int64
	}{
		"an altered record":        {func(b *momentBed, path, _ string) { b.flip(path) }, 830},
		"no manifest":              {func(b *momentBed, path, _ string) { b.cut(path) }, 830},
		"altered in both places":   {func(b *momentBed, path, other string) { b.flip(path); b.flip(other) }, 810},
		"gone in the other place":  {func(b *momentBed, path, other string) { b.flip(path); b.remove(other) }, 810},
		"not listed in the bucket": {func(b *momentBed, path, _ string) { b.flip(path) }, 810},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			before := ""
			for i, first := range []int64{806, 811, 821} {
				last := []int64{810, 820, 830}[i]
				n, data := storetest.Segment(t, storetest.SegmentOf{Node: "n1", Cluster: newCluster, Begun: b.base.Time.Add(time.Duration(i) * time.Minute), First: first, Last: last, Before: before})
				b.write(n.String(), data)
				before = b.manifest(fmt.Sprint(first, "-", last)).LastDigest
			}
			other, path := b.copied(), b.segmentFile("811-820")
			all := b.listed(b.dir, other)
			if name == "not listed in the bucket" {
				all = all[:1]
			}
			x.harm(b, path, filepath.Join(other, filepath.Base(path)))
			j := JournalOf(all, snapshot.NewDir(t.TempDir()))
			proof := journal.Proof{Cluster: newCluster, Revision: baseRevision}
			found, err := j.Prove(t.Context(), &proof, nil)
			if err != nil || proof.Revision != x.last || len(found.Damaged) != 1 || (found.Lost == nil) != (x.last == 830) {
				t.Fatalf("proven up to revision %d: %+v, %v", proof.Revision, found, err)
			}
			text := found.Damaged[0].Error()
			if !strings.HasPrefix(text, filepath.Base(path)+" in "+b.dir+": damaged: ") || strings.Contains(text, "the intact copy in "+other) != (x.last == 830) {
				t.Error(text)
			}
			if (name == "altered in both places") != strings.Contains(text, "; in "+other+": damaged: ") {
				t.Error(text)
			}
			// What was proven is what a test restore gets.
			if _, _, err := j.Bundle(t.Context(), io.Discard, found.Chain); err != nil {
				t.Error(err)
			}
		})
	}
}

func (b *momentBed) cut(path string) {
	b.Helper()
	if err := os.Truncate(path, 200); err != nil {
		b.Fatal(err)
	}
}

func (b *momentBed) remove(path string) {
	b.Helper()
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
}

// A row does not end where only one place has a damaged segment.
func TestRowGoesOnWithTheIntactCopyOfItsEnd(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.segment("n1", newCluster, 2*time.Minute, 811, 820)
	other := b.copied()
	b.cut(b.segmentFile("811-820"))
	bases := []history.Snapshot{{Name: b.base, Time: b.base.Time, Cluster: newCluster, Revision: baseRevision}}
	rows := JournalOf(b.listed(b.dir, other), snapshot.NewDir(t.TempDir())).Ranges(t.Context(), bases)
	if len(rows) != 1 || rows[0].Last != 820 || rows[0].Err != nil {
		t.Errorf("%+v", rows)
	}
}
