package snapshot_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

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
