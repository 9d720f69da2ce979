package journaltest_test

import (
	"fmt"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/snapshot"
)

func TestRangesAreJoinedUpToGaps(t *testing.T) {
	for segments, want := range map[string]string{
		"":                      "[]",
		"7-9":                   "[{7 9}]",
		"10-12 7-9":             "[{7 12}]",
		"7-9 11-12":             "[{7 9} {11 12}]",
		"7-9 7-9 8-8 8-15":      "[{7 15}]",
		"20-30 7-9 21-22 31-31": "[{7 9} {20 31}]",
	} {
		var names []snapshot.SegmentName
		for _, text := range strings.Fields(segments) {
			var n snapshot.SegmentName
			if _, err := fmt.Sscanf(text, "%d-%d", &n.First, &n.Last); err != nil {
				t.Fatal(err)
			}
			names = append(names, n)
		}
		if got := fmt.Sprint(journaltest.Ranges(names)); got != want {
			t.Errorf("%s: %s, want %s", segments, got, want)
		}
	}
}
