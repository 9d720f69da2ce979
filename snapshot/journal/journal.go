// Package journal records every change of etcd's keys between two snapshots, and applies the record to a snapshot: so a cluster can be
// restored as it was at any revision.
//
// The journal is a row of segments. A segment is one zstd file of records, which docs/FORMAT.md describes. Invariants:
//
//   - A segment has every revision from its first to its last one, with all events of each. Nothing else makes a gap visible, so the
//     writer, the chain and the merge each demand it.
//   - Events count only if a checkpoint follows whose digest matches: a reader of a segment that was not completed stops at the last one.
//   - Two segments, or a snapshot and a segment, are joined only at a revision that both know and whose events are the same. So a cluster
//     that was restored in between, to the same ID and the same revisions, is never mixed with what was before.
package journal

import (
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Format is the value of Manifest.Format, and of the header of a segment.
const Format = "etcd-rolling-backup/journal/1"

var (
	// ErrGap marks a journal that lacks a revision.
	ErrGap = errors.New("the journal has a gap")
	// ErrHistory marks segments, or a snapshot and a segment, of different histories: the cluster was restored in between.
	ErrHistory = errors.New("another history")
)

// SegmentError names the segment that is damaged or does not continue what comes before it, so that a caller can try without it.
type SegmentError struct {
	Segment snapshot.SegmentName
	Err     error // wraps snapshot.ErrDamaged or ErrHistory
}

func (e *SegmentError) Error() string { return e.Err.Error() }
func (e *SegmentError) Unwrap() error { return e.Err }

// named is an error of a segment that begins with its name.
type named struct {
	segment snapshot.SegmentName
	err     error
}

func (e *named) Error() string { return e.segment.String() + ": " + e.err.Error() }
func (e *named) Unwrap() error { return e.err }

// Named adds the name of the segment that an error is about, unless the error begins with it.
func Named(n snapshot.SegmentName, err error) error {
	if _, has := err.(*named); has || err == nil { //nolint:errorlint // of this very error
		return err
	}
	return &named{n, err}
}

// Unnamed removes the name again, for the text of a caller that says it.
func Unnamed(err error) error {
	switch e := err.(type) { //nolint:errorlint // what is further in may be about something else
	case *named:
		return e.err
	case *SegmentError:
		return Unnamed(e.Err)
	case interface{ Unwrap() []error }: // errors.Join makes one also of a single error
		if all := e.Unwrap(); len(all) == 1 {
			return Unnamed(all[0])
		}
	}
	return err
}

// Header is the first record of a segment: where it comes from.
type Header struct {
	Format      string      `json:"format"`
	Node        string      `json:"node"`
	ClusterID   snapshot.ID `json:"cluster_id"`
	MemberID    snapshot.ID `json:"member_id"`
	EtcdVersion string      `json:"etcd_version"`
	ToolVersion string      `json:"tool_version"`
	CreatedAt   time.Time   `json:"created_at"`
	First       int64       `json:"first_revision"`
	// Before is the digest of the revision before the first, "" if the writer did not see it.
	Before string `json:"before,omitempty"`
	// Compacted is the revision up to which etcd had compacted when the segment was begun; 0: not known.
	Compacted int64 `json:"compact_revision,omitempty"`
	// Restored says that etcd was restored after what the node had recorded before. The segment is the first one after that.
	Restored bool `json:"restored,omitempty"`
}

// Manifest describes a complete segment and is stored in it.
type Manifest struct {
	Header
	Name          string    `json:"name"`
	Last          int64     `json:"last_revision"`
	LastDigest    string    `json:"last_digest"` // of the last revision
	From          time.Time `json:"first_time"`  // of the first checkpoint
	To            time.Time `json:"last_time"`   // the latest one of all checkpoints: no time up to it is later
	Events        int64     `json:"events"`
	RawSize       int64     `json:"raw_size"`
	RawSHA256     string    `json:"raw_sha256"`
	ArchiveSHA256 string    `json:"archive_sha256"`
	ArchiveCRC32C string    `json:"archive_crc32c"`
}

// received notes the time of a checkpoint.
func (m *Manifest) received(at time.Time) {
	if m.From.IsZero() {
		m.From = at
	}
	if at.After(m.To) { // the clock may have been set back
		m.To = at
	}
}

// check refuses what no writer writes, so that later code can rely on the fields.
func (m Manifest) check() error {
	switch n, err := snapshot.ParseSegmentName(m.Name); {
	case m.Format != Format:
		return fmt.Errorf("%w %q: this version reads %q; use a newer one", snapshot.ErrFormat, m.Format, Format)
	case err != nil:
		return fmt.Errorf("%w: manifest: name: %w", snapshot.ErrDamaged, err)
	case n.First != m.First || n.Last != m.Last || n.Last == 0 || n.Node != m.Node || m.Compacted < 0 || m.RawSize <= 0:
		return fmt.Errorf("%w: manifest: name %s does not match node %q and revisions %d to %d", snapshot.ErrDamaged, m.Name, m.Node, m.First, m.Last)
	}
	return nil
}
