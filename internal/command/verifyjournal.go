package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/journal"
)

// provenJournal is what --output json shows of the journal that continues a snapshot.
type provenJournal struct {
	Segments int       `json:"segments"`
	Events   int64     `json:"events"`
	Bytes    int64     `json:"bytes"`
	First    int64     `json:"first_revision"` // that of the snapshot
	Last     int64     `json:"last_revision"`  // up to which every revision is there and intact
	To       time.Time `json:"last_time,omitzero"`
	// Gap is the first revision after a gap; 0: there is none.
	Gap     int64     `json:"revision_after_gap,omitempty"`
	GapTo   time.Time `json:"time_after_gap,omitzero"`
	Damaged []string  `json:"damaged,omitempty"`

	chain []snapshot.SegmentName
}

// journalOf lists the journal from which restore would continue the snapshot: that of the place that --from names, else of both. nil: the snapshot is a file
// that may be from anywhere.
func (c *call) journalOf(ctx context.Context, p *source.Opened) (j *source.Journal, closeIt func(), err error) {
	if p.From == config.Anywhere {
		return nil, func() {}, nil
	}
	place, err := config.ReadPlace(c.Context, config.Anywhere, config.Local, config.S3)
	if err != nil {
		return nil, nil, err
	}
	j, _, closeIt, err = c.journalAt(ctx, place, p.Snapshot.Node) // who looked for the snapshot has warned of a place that can't be read
	return j, closeIt, err
}

// bundle copies the segments that were proven into a temporary file; nil: there are none.
func (p *provenJournal) bundle(ctx context.Context, j *source.Journal, scratch *snapshot.Dir) (*drill.Journal, error) {
	if p == nil || len(p.chain) == 0 {
		return nil, nil
	}
	return drill.NewJournal(scratch, p.Last, func(w io.Writer) ([]journal.Section, int64, error) { return j.Bundle(ctx, w, p.chain) })
}

// journalIn lists the journal in the directory, the bucket or both, as far as it is of that node; "": of all. closeAll closes the places.
func (c *call) journalIn(ctx context.Context, place config.Place, node string) (j *source.Journal, closeAll func(), err error) {
	j, failed, closeAll, err := c.journalAt(ctx, place, node)
	for _, f := range failed {
		if !f.NoDirectory() {
			c.warn("only %s is searched, and not %s: %s", j.Wheres(), f.Where, line(f))
		}
	}
	return j, closeAll, err
}

// journalAt is journalIn without its warnings: failed are the places that can't be read, if others can.
func (c *call) journalAt(ctx context.Context, place config.Place, node string) (j *source.Journal, failed []*source.PlaceError, closeAll func(), err error) {
	dir, bucket := c.cfg.Store.Dir, c.cfg.S3
	switch {
	case place == config.S3 && bucket == nil:
		return nil, nil, nil, config.Usagef("--from s3 needs --s3-bucket")
	case place == config.S3:
		dir = ""
	case place == config.Local:
		bucket = nil
	}
	var nodes []string
	if node != "" {
		nodes = []string{node}
	}
	all, failed := source.Places{Dir: dir, Bucket: bucket, Nodes: nodes, Journal: true}.List(ctx)
	closeAll = func() {
		for _, l := range all {
			l.Close()
		}
	}
	if len(all) == 0 {
		return nil, nil, nil, c.noPlace(failed)
	}
	return source.JournalOf(all, c.scratch()), failed, closeAll, nil
}

// verifyWithJournal is verifyInto, and proves what continues the snapshot. damage is that of the journal.
func verifyWithJournal(ctx context.Context, c *call, p *source.Opened, j *source.Journal) (r input.Report, proven *provenJournal, damage, err error) {
	db, err := p.Scratch.Scratch()
	if err != nil {
		return r, nil, nil, err
	}
	again, err := snapshot.Duplicate(db)
	if err != nil {
		return r, nil, nil, errors.Join(err, db.Close())
	}
	defer again.Close() // a second time does no harm
	if r, err = verifyInto(ctx, c, p, db); err != nil || r.Manifest == nil || j == nil || len(j.Names) == 0 {
		return r, nil, nil, err
	}
	proof := journal.Proof{Cluster: r.Manifest.ClusterID}
	if proof.Revision, proof.Digest, err = journal.Newest(again); err != nil {
		return r, nil, nil, err
	}
	out := provenJournal{First: proof.Revision}
	found, err := j.Of(ctx, p.Snapshot, *r.Manifest).Prove(ctx, &proof, nil)
	if err != nil {
		return r, nil, nil, fmt.Errorf("verify the journal after %s: %w", p.Name, err)
	}
	out.Segments, out.Events, out.Bytes, out.Last, out.To = proof.Segments, proof.Events, found.Bytes, proof.Revision, proof.To
	out.chain = found.Chain
	out.Gap, out.GapTo = found.Next.First, found.Next.Time
	for _, err := range found.Damaged {
		out.Damaged = append(out.Damaged, err.Error())
	}
	if len(found.Damaged) > 0 {
		what := fmt.Sprintf("any moment up to %s, can be restored from %s", out.end(), j.Wheres())
		if out.Segments == 0 {
			what = "the snapshot itself is intact"
		}
		damage = fmt.Errorf("verify the journal after %s: %w: %s", p.Name, cmp.Or(found.Lost, found.Damaged[0]), what)
	}
	if out.Segments == 0 && out.Gap == 0 && damage == nil {
		return r, nil, nil, nil
	}
	return r, &out, damage, nil
}

func (p *provenJournal) end() string {
	return fmt.Sprintf("revision %d, received %s", p.Last, moment(p.To))
}

func (p *provenJournal) print(out *printer) {
	if p.Segments > 0 {
		out.line("  journal: %s with %s: every change from revision %d to %s is there and intact",
			english.Plural(p.Segments, "segment", ""), english.Plural(int(p.Events), "event", ""), p.First, p.end())
	}
	if p.Gap > 0 {
		out.line("  journal: gap after revision %d: it goes on at revision %d, %s", p.Last, p.Gap, moment(p.GapTo))
	}
}

// verifiedSegment is what --output json shows of one segment.
type verifiedSegment struct {
	File     string    `json:"file"`
	Place    string    `json:"place"`
	Complete bool      `json:"complete"` // false: it is being written, or its writer died; what follows its last checkpoint does not count
	Size     int64     `json:"size"`
	Node     string    `json:"node"`
	Cluster  string    `json:"cluster_id"`
	First    int64     `json:"first_revision"`
	Last     int64     `json:"last_revision"`
	From     time.Time `json:"first_time"`
	To       time.Time `json:"last_time"`
	Events   int64     `json:"events"`
}

// segmentName reads the name of a segment, or the path of one.
func segmentName(ref string) (snapshot.SegmentName, bool) {
	n, err := snapshot.ParseSegmentName(filepath.Base(ref))
	return n, err == nil
}

// verifySegment verifies one segment of the journal.
func verifySegment(ctx context.Context, c *call, n snapshot.SegmentName) error {
	s, v, closeIt, err := c.openSegment(ctx, n)
	if err == nil {
		defer closeIt()
		err = s.Each(ctx, func(journal.Record) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.ref, journal.Unnamed(err))
	}
	v.Complete, v.Node, v.Cluster, v.First, v.Last = s.Complete, s.Node, s.ClusterID.String(), s.First, s.Last
	v.From, v.To, v.Events = s.From, s.To, s.Events
	return c.show(v, func(out *printer) {
		verdict := "is intact"
		if !v.Complete {
			verdict = "is being written, or its writer died: it is intact up to its last checkpoint"
		}
		out.line("%s %s\n  every change of revisions %d to %d, %s, received from %s to %s, of cluster %s",
			v.File, verdict, v.First, v.Last, english.Plural(int(v.Events), "event", ""), moment(v.From), moment(v.To), v.Cluster)
	})
}

// openSegment opens the segment that the argument names.
func (c *call) openSegment(ctx context.Context, n snapshot.SegmentName) (*journal.Segment, verifiedSegment, func(), error) {
	if strings.ContainsRune(c.ref, filepath.Separator) {
		return openSegmentFile(ctx, c.ref, n)
	}
	place, err := config.ReadPlace(c.Context, config.Anywhere, config.Local, config.S3)
	if err != nil {
		return nil, verifiedSegment{}, nil, err
	}
	j, closeAll, err := c.journalIn(ctx, place, n.Node)
	if err != nil {
		return nil, verifiedSegment{}, nil, err
	}
	s, closer, err := j.Open(ctx, n)
	if err != nil {
		closeAll()
		return nil, verifiedSegment{}, nil, err
	}
	v := verifiedSegment{File: n.String(), Place: j.Where(n), Size: j.Size(n)}
	return s, v, func() { _ = closer.Close(); closeAll() }, nil // it was only read
}

func openSegmentFile(ctx context.Context, path string, n snapshot.SegmentName) (s *journal.Segment, v verifiedSegment, closeIt func(), err error) {
	f, err := regular.Open(path, os.O_RDONLY)
	if errors.Is(err, regular.ErrUnusable) {
		err = config.Usagef("%w", err)
	}
	if err != nil {
		return nil, v, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		s, err = journal.OpenFile(ctx, f, n)
	}
	if err != nil {
		return nil, v, nil, errors.Join(err, f.Close())
	}
	return s, verifiedSegment{File: path, Place: "a file", Size: info.Size()}, func() { _ = f.Close() }, nil
}
