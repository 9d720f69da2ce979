package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

func segmentNames(t *testing.T, of ...string) (names []snapshot.SegmentName) {
	t.Helper()
	for _, text := range of {
		var minute int
		var first, last int64
		if _, err := fmt.Sscanf(text, "%d: %d-%d", &minute, &first, &last); err != nil {
			t.Fatal(err)
		}
		n, err := snapshot.NewSegmentName("n", time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC), first, last)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	return names
}

func rowsOf(names []snapshot.SegmentName) [][]snapshot.SegmentName {
	return snapshot.SegmentRows(names, func(n snapshot.SegmentName) snapshot.SegmentName { return n })
}

// The order in which they are listed does not count, only revisions do, and times where there is a choice.
func TestSegmentRows(t *testing.T) {
	for name, rows := range map[string][][]string{
		"none":                    nil,
		"one":                     {{"1: 5-9"}},
		"a gap":                   {{"1: 5-9", "2: 10-10"}, {"3: 12-20"}},
		"a restore":               {{"1: 5-9", "2: 10-20", "3: 21-30"}, {"7: 9-14", "8: 15-15", "9: 16-40"}},
		"to the end of a segment": {{"1: 5-9", "2: 10-20"}, {"7: 10-14", "8: 15-20"}},
		"the same ends":           {{"1: 5-9", "2: 10-20", "3: 21-30"}, {"7: 8-20", "8: 21-25", "9: 26-40"}},
		"a clock that was set":    {{"30: 5-9", "31: 10-20", "12: 21-22", "13: 23-30"}},
		"a clock, and a restore":  {{"30: 5-9", "12: 10-20", "13: 21-30"}, {"41: 7-20", "42: 21-50"}},
		"restored twice":          {{"1: 5-9", "2: 10-20"}, {"3: 8-20", "4: 21-30"}, {"5: 18-20", "6: 21-23"}},
	} {
		var all []string
		var want [][]snapshot.SegmentName
		for _, row := range rows {
			all = append(all, row...)
			want = append(want, segmentNames(t, row...))
		}
		names := segmentNames(t, all...)
		for seed := range uint64(20) {
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			if got := rowsOf(names); !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s: %v, want %v", name, got, want)
				break
			}
		}
	}
}

// Whatever the clock shows, one history without a gap is one row.
func TestOneHistoryIsOneRowWhateverTheClock(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var of []string
		for at, i := int64(1), 0; i < 40; i++ {
			last := at + r.Int64N(9)
			of = append(of, fmt.Sprintf("%d: %d-%d", r.IntN(60), at, last))
			at = last + 1
		}
		names := segmentNames(t, of...)
		want := slices.Clone(names)
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		if got := rowsOf(names); len(got) != 1 || !slices.Equal(got[0], want) {
			t.Fatalf("seed %d: %d rows: %v", seed, len(got), got)
		}
	}
}
