package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

func TestList(t *testing.T) {
	d := newDir(t)
	const (
		newest = "rolling_b_20261121T230000Z.db.zst"
		older  = "rolling_a_20261121T220000Z.db.zst"
		manual = "manual_a_20261121T220000Z.db.zst"
		oldest = "rolling_a_20251121T220000Z.db.zst"
	)
	for i, name := range []string{oldest, newest, manual, older} {
		put(t, d, name, make([]byte, i))
	}
	partials := []string{older + ".part", "rolling_a_20261122T000000Z.db.zst.part"}
	foreign := []string{
		".hidden", ".lock.part", "directory_a_20261121T220000Z.db.zst", "link_a_20261121T220000Z.db.zst",
		"link_a_20261121T220000Z.db.zst.part", "notes.txt", older + ".part.part", "rolling_a_b_20261121T220000Z.db.zst", "snap.db",
	}
	for _, name := range slices.Concat(partials, foreign) {
		if name[:4] != "link" && name[:4] != "dire" {
			put(t, d, name, nil)
		}
	}
	must(t, os.Mkdir(filepath.Join(d.Path(), foreign[2]), 0o700))
	must(t, os.Symlink(older, filepath.Join(d.Path(), foreign[3])))
	must(t, os.Symlink("nowhere", filepath.Join(d.Path(), foreign[4])))
	put(t, d, ".lock", nil)

	l, err := d.List()
	must(t, err)
	var got []string
	for _, e := range l.Snapshots {
		got = append(got, e.Name.String())
	}
	if want := []string{newest, manual, older, oldest}; !slices.Equal(got, want) {
		t.Errorf("snapshots %q, want %q", got, want)
	}
	if e := l.Snapshots[2]; e.Size != 3 || e.Name.Set != "rolling" || e.Name.Node != "a" {
		t.Errorf("the older one is listed as %+v", e)
	}
	if !reflect.DeepEqual(l.Partials, partials) || !reflect.DeepEqual(l.Foreign, foreign) {
		t.Errorf("partials %q, want %q\nforeign %q, want %q", l.Partials, partials, l.Foreign, foreign)
	}
	// RemovePartials touches only the partial files.
	removed, err := d.RemovePartials(t.Context())
	must(t, err)
	if !slices.Equal(removed, partials) {
		t.Errorf("removed %q, want %q", removed, partials)
	}
	want := slices.Concat([]string{newest, manual, older, oldest}, foreign)
	slices.Sort(want)
	if got := in(t, d); !slices.Equal(got, want) {
		t.Errorf("afterwards there are %q, want %q", got, want)
	}
}

func TestFind(t *testing.T) {
	var l snapshot.Listing
	for _, text := range []string{
		"rolling_a_20261121T230000Z.db.zst", "before-upgrade_a_20261121T220000Z.db.zst", "rolling_a_20261121T210000Z.db.zst",
		"before-upgrade_a_20261121T200000Z.db.zst", "future_a_20300101T000000Z.db.zst", "rolling_a_20300101T000000Z.db.zst",
	} {
		n, err := snapshot.ParseName(text)
		must(t, err)
		l.Snapshots = append(l.Snapshots, snapshot.Entry{Name: n, Size: 1})
	}
	slices.SortFunc(l.Snapshots, func(a, b snapshot.Entry) int { return b.Name.Time.Compare(a.Name.Time) })
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ref, want string
		err       error
	}{
		{snapshot.Latest, "rolling_a_20261121T230000Z.db.zst", nil},
		{"rolling", "rolling_a_20261121T230000Z.db.zst", nil},
		{"before-upgrade", "before-upgrade_a_20261121T220000Z.db.zst", nil},
		{"rolling_a_20261121T210000Z.db.zst", "rolling_a_20261121T210000Z.db.zst", nil},
		{"rolling_a_20261121T210001Z.db.zst", "", snapshot.ErrNotFound},
		{"manual", "", snapshot.ErrNotFound},
		{"rolling_a_20300101T000000Z.db.zst", "rolling_a_20300101T000000Z.db.zst", nil},
		{"future", "future_a_20300101T000000Z.db.zst", nil}, // there is no other
		{"../a", "", snapshot.ErrName},
		{"", "", snapshot.ErrName},
	} {
		got, err := l.Find(c.ref, now)
		if !errors.Is(err, c.err) || err == nil && got.Name.String() != c.want {
			t.Errorf("Find(%q) is %s and %v, want %s and %v", c.ref, got.Name, err, c.want, c.err)
		}
	}
	for _, ref := range []string{snapshot.Latest, "rolling"} {
		if _, err := (snapshot.Listing{}).Find(ref, now); !errors.Is(err, snapshot.ErrNotFound) {
			t.Errorf("Find(%q) of nothing: %v, want ErrNotFound", ref, err)
		}
	}
}
