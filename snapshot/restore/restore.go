// Package restore makes an etcd data directory from a snapshot; etcd's own etcdutl library does the raft part.
//
// Invariant: everything is checked and built in a staging directory next to the target, and then renamed into place. The target is
// "member" in the data directory; what else is there stays. Existing data is never changed: it is refused, or moved aside on request.
// After a crash at any moment the old data is complete, under its own name or the one it was moved to. At worst a staging directory is
// left, which the next restore removes. What fails after the renames is a warning: the restore has succeeded.
package restore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// Input is the snapshot; *input.Input is one.
type Input interface {
	// Unpack writes the database without its digest. It returns nil only if the database is verified or the caller skipped the
	// check.
	Unpack(ctx context.Context, w io.Writer, o input.Options) (input.Unpacked, error)
}

// Options say what to restore, and where.
type Options struct {
	DataDir string // of the member; its parent must exist
	WALDir  string // "": in the data directory
	Replace bool   // move existing data aside instead of refusing it
	Owner   *Owner // nil: the owner of the existing data, else Default, else the owner of the directory around it
	Default *Owner // who etcd runs as here, if that is known

	Identity
	Recorded []snapshot.Member // from the snapshot's manifest; if empty, from the database
	SHA256   string            // of the database if it is known in advance, hex
	Size     int64             // of the decompressed database if it is known in advance, bytes; -1: unknown
	// Manifest says which revision the database must have; nil: that is not known.
	Manifest *snapshot.Manifest

	// Review, if set, may refuse the restore as soon as its members, cluster and targets are known: before the decompression if the
	// members are Recorded, otherwise after it. Nothing has been changed yet.
	Review func(context.Context, *Plan) error

	// Both or none: how much to raise the revision above the snapshot's, and whether to mark all earlier revisions as compacted.
	// Otherwise clients that saw later revisions than the snapshot's would continue with what they have cached.
	BumpRevision  uint64
	MarkCompacted bool
	SkipHashCheck bool // accept a database that has no digest to verify it with, or ends before the revision of the manifest

	Progress func(done, total int64) // of the decompression, bytes; total 0: unknown

	// Journal continues the snapshot; nil: it is restored as it is.
	Journal *Journal
}

// Plan is a restore that has been checked completely and has changed nothing yet. It holds the decompressed database in an
// anonymous temporary file.
type Plan struct {
	DataDir, WALDir string   // symlinks resolved; WALDir "": no --wal-dir
	LogDir          string   // where the write-ahead log goes: WALDir, or where a link leads to; "": in DataDir's "member"
	Aside           []Move   // existing data that is moved aside
	Stays           []string // what else is in the data directory, which is not touched
	Owner           Owner
	Members         []snapshot.Member // that the snapshot records
	Cluster         Cluster
	Revision        int64  // at which the restored etcd starts
	KubernetesKey   string // a key of a Kubernetes cluster in the database; "": none was found
	Database        input.Unpacked

	o         Options
	now       time.Time
	data, wal place    // wal: empty if the log is a part of data
	kept      []string // existing directories around them
	owned     bool     // Owner must own those too
	scratch   *os.File
}

// Check is the part of Prepare that needs no snapshot, or only its manifest if the members are Recorded: then it includes the Review. A
// caller that fetches the snapshot from elsewhere calls it first, and gets the directory whose disk must have room for it.
func Check(ctx context.Context, o Options, now time.Time) (scratch string, err error) {
	p, err := newPlan(o, now)
	if err != nil {
		return "", err
	}
	if len(o.Recorded) > 0 {
		err = p.identify(ctx, o.Recorded, o.SHA256)
	}
	return p.data.parent(), err
}

// Prepare checks the target, decompresses and verifies the snapshot next to it, and decides on the cluster. It changes no
// existing data. The caller closes the plan.
func Prepare(ctx context.Context, in Input, o Options, now time.Time) (_ *Plan, err error) {
	p, err := newPlan(o, now)
	if err != nil {
		return nil, err
	}
	if len(o.Recorded) > 0 { // before minutes of decompression
		if err := p.identify(ctx, o.Recorded, o.SHA256); err != nil {
			return nil, err
		}
	}
	copies := copies(p.data.parent())
	if o.Journal != nil { // it makes another one
		copies++
	}
	if err := p.checkSpace(times(o.Size, copies)); err != nil {
		return nil, err
	}
	if p.scratch, err = snapshot.NewDir(p.data.parent()).Scratch(); err != nil {
		return nil, fmt.Errorf("create a file for the database: %w", err)
	}
	err = p.unpack(ctx, in, copies)
	if err == nil { // check again, because the size may not have been known
		err = p.checkSpace(times(p.Database.Size, copies-1))
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close releases the decompressed database.
func (p *Plan) Close() { _ = p.scratch.Close() } // a temporary file, which was only read since it was complete

func (p *Plan) unpack(ctx context.Context, in Input, copies int64) (err error) {
	p.Database, err = in.Unpack(ctx, p.guarded(copies), input.Options{SkipHashCheck: p.o.SkipHashCheck, Progress: p.o.Progress})
	if err != nil {
		return err
	}
	db, err := snapshot.Duplicate(p.scratch)
	if err != nil {
		return err
	}
	found, err := lookInto(ctx, db, snapshot.CheckDatabase)
	if m := p.o.Manifest; err == nil && m != nil && !p.o.SkipHashCheck {
		if err = m.CheckRevision(found.begins(0)); err != nil {
			err = fmt.Errorf("%w: it is of another etcd than the manifest says (--skip-hash-check restores it anyway)", err)
		}
	}
	if err == nil && p.o.Journal != nil {
		found, err = p.merge(ctx, found)
	}
	if err != nil {
		return err
	}
	if len(p.o.Recorded) == 0 {
		if err := p.identify(ctx, found.members, p.Database.SHA256); err != nil {
			return err
		}
	}
	if p.Cluster.Token == "" {
		p.Cluster.Token = p.token(p.Database.SHA256)
	}
	p.Revision, p.KubernetesKey = found.begins(p.o.BumpRevision), found.kubernetes
	return nil
}

// identify decides on the cluster, by the members that the snapshot records, and lets the caller refuse.
func (p *Plan) identify(ctx context.Context, recorded []snapshot.Member, databaseSHA256 string) (err error) {
	p.Members = recorded
	if p.Cluster.Peers == nil {
		if p.Cluster, err = p.o.cluster(recorded); err != nil {
			return err
		}
	}
	if p.Cluster.Token == "" && databaseSHA256 != "" {
		p.Cluster.Token = p.token(databaseSHA256)
	}
	if p.o.Review == nil {
		return nil
	}
	return p.o.Review(ctx, p)
}

// token derives the new cluster's token from what the cluster is made of. Members restored from different snapshots, or with
// different revisions, then refuse each other instead of forming a cluster whose members disagree forever.
func (p *Plan) token(databaseSHA256 string) string {
	made := binary.BigEndian.AppendUint64([]byte(databaseSHA256), p.o.BumpRevision)
	if p.o.Journal != nil {
		made = binary.BigEndian.AppendUint64(made, uint64(p.o.Journal.Revision)) //nolint:gosec // positive
	}
	sum := sha256.Sum256(made)
	return "restored-" + hex.EncodeToString(sum[:8])
}
