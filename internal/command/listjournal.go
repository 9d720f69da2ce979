package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// journalRow is a row of moments without a gap that can be restored, as list shows it with --output json.
type journalRow struct {
	Node      string        `json:"node"`
	ClusterID snapshot.ID   `json:"cluster_id"`
	Base      snapshot.Name `json:"base"` // the snapshot that a restore of the first moment needs
	First     int64         `json:"first_revision"`
	Last      int64         `json:"last_revision"`
	From      time.Time     `json:"first_time"`
	To        time.Time     `json:"last_time"`
	Segments  int           `json:"segments"`
	Bytes     int64         `json:"bytes"`
	Restored  bool          `json:"after_restore,omitempty"` // the cluster was restored between the row of the node before this one, and this one
	Places    []string      `json:"places"`
	Mirrored  int64         `json:"mirrored_revision,omitempty"` // the newest one that the bucket has too
	MirrorTo  time.Time     `json:"mirrored_time,omitzero"`
	Error     string        `json:"error,omitempty"` // a segment could not be read: verify says more
}

// addJournal adds what the journal of the listed places can restore.
func (l *listing) addJournal(ctx context.Context, from []source.Listing, scratch *snapshot.Dir) {
	var bases []history.Snapshot
	for _, r := range l.Snapshots {
		switch {
		case r.Manifest != nil && r.Error == "":
			bases = append(bases, history.SnapshotOf(r.Name, *r.Manifest))
		case r.intact != nil:
			bases = append(bases, history.SnapshotOf(r.Name, *r.intact))
		}
	}
	l.bases = bases
	restored := map[string]bool{} // nodes, since the last row
	for _, r := range source.JournalOf(from, scratch).Ranges(ctx, bases) {
		l.ranges = append(l.ranges, r)
		restored[r.Node] = restored[r.Node] || r.Restored
		if r.Base == nil {
			continue
		}
		row := journalRow{
			Node: r.Node, ClusterID: r.Cluster, Base: r.Base.Name, First: r.First, Last: r.Last, From: r.From.UTC(), To: r.To.UTC(), Segments: r.Segments, Bytes: r.Bytes,
			Restored: restored[r.Node],
		}
		restored[r.Node] = false
		for _, p := range r.Places {
			row.Places = append(row.Places, string(p))
		}
		if r.Mirrored != nil {
			row.Mirrored, row.MirrorTo = r.Mirrored.Last, r.Mirrored.To.UTC()
		}
		if r.Err != nil {
			row.Error = r.Err.Error()
		}
		l.Journal = append(l.Journal, row)
	}
}

// printJournal prints the moments that can be restored, and what is between them.
func (l *listing) printJournal(out *printer) {
	var before *source.Range
	restored := false // since before
	for i, r := range l.ranges {
		if i == 0 || l.ranges[i-1].Node != r.Node {
			out.line("%s", "")
			out.line("journal of %s:", r.Node)
			before, restored = nil, false
		}
		restored = restored || r.Restored
		switch {
		case r.Base == nil:
			out.line("  revisions %d to %d%s can't be restored: %s", r.First, r.Last, span(r), l.noBase(i))
		case before != nil:
			_, end := moments(*before)
			begin, _ := moments(r)
			out.line("  %s from %s (revision %d) to %s (revision %d)", separation(*before, r, restored), end, before.Last, begin, r.First)
		}
		if r.Base != nil {
			begin, end := moments(r)
			out.line("  any moment from %s (revision %d) to %s (revision %d), %s%s", begin, r.First, end, r.Last, places(r), mirroredTo(r))
			before, restored = &l.ranges[i], false
		}
		if r.Err != nil {
			out.line("  warning: a segment could not be read, so this may not be all: %s", line(r.Err))
		}
	}
}

// noBase says why no snapshot leads to a row.
func (l *listing) noBase(i int) string {
	r := l.ranges[i]
	var before int64 // the newest revision before the row that is recorded or in a snapshot
	if i > 0 && l.ranges[i-1].Node == r.Node && l.ranges[i-1].Cluster == r.Cluster {
		before = l.ranges[i-1].Last
	}
	for _, b := range l.bases {
		if b.Cluster == r.Cluster && b.Revision < r.First && !b.Time.After(r.From) {
			before = max(before, b.Revision)
		}
	}
	if before == 0 || before >= r.First-1 || r.Restored {
		return "no snapshot is from before them"
	}
	return fmt.Sprintf("the journal lacks revisions %d to %d, and no snapshot has a revision from %d to %d", before+1, r.First-1, r.First-1, r.Last)
}

// separation says what is between two rows.
func separation(before, r source.Range, restored bool) string {
	switch {
	case !restored:
		return "gap:"
	case before.Cluster != r.Cluster:
		return fmt.Sprintf("the cluster was restored here, and is %s instead of %s:", r.Cluster, before.Cluster)
	}
	return "the cluster was restored here:"
}

func places(r source.Range) string {
	var names []string
	for _, p := range r.Places {
		names = append(names, string(p))
	}
	return strings.Join(names, "+")
}

// mirroredTo says how far the bucket is behind.
func mirroredTo(r source.Range) string {
	if r.Mirrored == nil || r.Mirrored.Last >= r.Last {
		return ""
	}
	return fmt.Sprintf(" (s3 to %s, revision %d)", moment(r.Mirrored.To), r.Mirrored.Last)
}

// span says from when to when, as far as that is known.
func span(r source.Range) string {
	if r.From.IsZero() || r.To.IsZero() {
		return ""
	}
	return fmt.Sprintf(" (%s to %s)", moment(r.From), moment(r.To))
}

// moments are the first and the last one of a row that --at takes, as people read them: whole seconds within it, or the milliseconds if it has none.
func moments(r source.Range) (begin, end string) {
	begins := r.From.Add(time.Second - 1).Truncate(time.Second)
	if !begins.After(r.To) {
		return moment(begins), moment(r.To)
	}
	const form = "2006-01-02 15:04:05.000 UTC"
	return r.From.Add(time.Millisecond - 1).UTC().Format(form), r.To.UTC().Format(form)
}

// moment is a time as people read it.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
