package snapshot

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	segmentSet    = "journal"
	segmentSuffix = ".jnl.zst"
)

// SegmentName identifies a segment of the journal: journal_<node>_<time>_<first>-<last>.jnl.zst. No segment has the name of a snapshot, and
// no snapshot that of a segment. The names alone say which revisions there are.
type SegmentName struct {
	Node        string
	Time        time.Time // UTC, whole seconds: when the segment was begun
	First, Last int64     // revisions; Last 0: the segment is being written, or its writer died
}

// NewSegmentName checks the node and truncates t to whole seconds in UTC. Errors wrap ErrName.
func NewSegmentName(node string, t time.Time, first, last int64) (SegmentName, error) {
	n := SegmentName{Node: node, Time: t.UTC().Truncate(time.Second), First: first, Last: last}
	y := n.Time.Year()
	switch err := CheckPart("node", node); {
	case err != nil:
		return SegmentName{}, err
	case y < 1 || y > 9999:
		return SegmentName{}, fmt.Errorf("%w: the year %d does not have four digits", ErrName, y)
	case first < 1 || last != 0 && last < first:
		return SegmentName{}, fmt.Errorf("%w: revisions %d to %d", ErrName, first, last)
	case len(n.String()) > maxNameLen:
		return SegmentName{}, fmt.Errorf("%w: %d bytes are more than the %d that a file system allows", ErrName, len(n.String()), maxNameLen)
	}
	return n, nil
}

// ParseSegmentName reads the name of a segment, also that of one that is not complete. For every name that it returns, String is s.
// Errors wrap ErrName.
func ParseSegmentName(s string) (SegmentName, error) {
	wrong := fmt.Errorf("%w: %q does not have the form %s_<node>_<time>_<first>-<last>%s", ErrName, s, segmentSet, segmentSuffix)
	stem, partial := strings.CutSuffix(s, partSuffix)
	stem, ok := strings.CutSuffix(stem, segmentSuffix)
	parts := strings.Split(stem, "_")
	if !ok || len(parts) != 4 || parts[0] != segmentSet {
		return SegmentName{}, wrong
	}
	t, err := time.Parse(timeLayout, parts[2])
	if err != nil {
		return SegmentName{}, wrong
	}
	from, to, complete := strings.Cut(parts[3], "-")
	first, err := strconv.ParseInt(from, 10, 64)
	var last int64
	if complete && err == nil {
		last, err = strconv.ParseInt(to, 10, 64)
	}
	if err != nil || complete == partial {
		return SegmentName{}, wrong
	}
	n, err := NewSegmentName(parts[1], t, first, last)
	if err == nil && n.String() != s { // such as 007, or a fraction of a second
		return SegmentName{}, wrong
	}
	return n, err
}

// String returns the name of the segment's file.
func (n SegmentName) String() string {
	s := segmentSet + "_" + n.Node + "_" + n.Time.Format(timeLayout) + "_" + strconv.FormatInt(n.First, 10)
	if n.Last == 0 {
		return s + segmentSuffix + partSuffix
	}
	return s + "-" + strconv.FormatInt(n.Last, 10) + segmentSuffix
}

// SegmentPrefix is how the names of a node's segments begin, and no others.
func SegmentPrefix(node string) string { return Prefix(segmentSet, node) }

// Complete reports that the segment has been completed.
func (n SegmentName) Complete() bool { return n.Last != 0 }

// CompareSegments is the order of segments: by their first revision, the longer one first.
func CompareSegments(a, b SegmentName) int {
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last), cmp.Compare(a.Node, b.Node), a.Time.Compare(b.Time))
}
