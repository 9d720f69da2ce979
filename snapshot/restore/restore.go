package restore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// Input is the snapshot; *input.Input is one.
type Input interface {
	// Unpack writes the database without its digest, and returns nil only when it is proven or the proof was waived.
	Unpack(ctx context.Context, w io.Writer, o input.Options) (input.Unpacked, error)
}

// Options say what is made of the snapshot, and where.
type Options struct {
	DataDir string // of the member; its parent must be there
	WALDir  string // "": in the data directory
	Replace bool   // move what is there aside instead of refusing
	Owner   *Owner // nil: of the data that was there, else of the directory that it lies in

	Identity
	Recorded []snapshot.Member // of the snapshot's manifest; without them the database is asked
	Size     int64             // of the unpacked database as far as it is known beforehand, bytes; -1: not

	// Both or none: how far the revision is raised above the snapshot's, all before which counts as compacted then. Clients
	// that saw later revisions than the snapshot's would otherwise go on with what they remember.
	BumpRevision  uint64
	MarkCompacted bool
	SkipHashCheck bool // take a database that nothing proves whole

	Progress func(done, total int64) // of unpacking, bytes; total 0: not known
}

// Plan is a restore of which all is checked and nothing done. It holds the unpacked database in a file without a name.
type Plan struct {
	DataDir, WALDir string // symlinks resolved; WALDir "": in DataDir
	Aside           []Move // what is moved away
	Owner           Owner
	Cluster         Cluster
	Revision        int64 // that the restored etcd begins with
	Database        input.Unpacked

	o         Options
	now       time.Time
	data, wal place
	scratch   *os.File
}

// Check is the part of Prepare that needs no snapshot: who fetches one from elsewhere asks before.
func Check(o Options, now time.Time) error {
	_, err := newPlan(o, now)
	return err
}

// Prepare checks the target, unpacks and proves the snapshot beside it, and decides on the cluster. Nothing of what is
// there is changed. The caller closes the plan.
func Prepare(ctx context.Context, in Input, o Options, now time.Time) (_ *Plan, err error) {
	p, err := newPlan(o, now)
	if err != nil {
		return nil, err
	}
	// Wrong members of our archive are told before minutes of unpacking.
	if p.Cluster.Peers == nil && len(o.Recorded) > 0 {
		if p.Cluster, err = o.cluster(o.Recorded); err != nil {
			return nil, err
		}
	}
	copies := copies(p.data.parent())
	if err := p.checkSpace(o.Size * copies); err != nil {
		return nil, err
	}
	if p.scratch, err = snapshot.NewDir(p.data.parent()).Scratch(); err != nil {
		return nil, fmt.Errorf("make a file to unpack to: %w", err)
	}
	err = p.unpack(ctx, in)
	if err == nil { // the size was not always known
		err = p.checkSpace(p.Database.Size * (copies - 1))
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close lets go of the unpacked database.
func (p *Plan) Close() error {
	if p.scratch == nil {
		return nil
	}
	f := p.scratch
	p.scratch = nil
	return f.Close()
}

func (p *Plan) unpack(ctx context.Context, in Input) (err error) {
	p.Database, err = in.Unpack(ctx, pieces{p.scratch}, input.Options{SkipHashCheck: p.o.SkipHashCheck, Progress: p.o.Progress})
	if err != nil {
		return err
	}
	found, err := look(throughFD(p.scratch))
	if err != nil {
		return err
	}
	if p.Cluster.Peers == nil {
		if p.Cluster, err = p.o.cluster(found.members); err != nil {
			return err
		}
	}
	if p.Cluster.Token == "" {
		p.Cluster.Token = p.token()
	}
	p.Revision = found.begins(p.o.BumpRevision)
	return nil
}

// pieces writes no more than snapshot.PageCachePiece at once.
type pieces struct{ w io.Writer }

func (p pieces) Write(b []byte) (n int, err error) {
	for len(b) > n && err == nil {
		var m int
		m, err = p.w.Write(b[n:min(len(b), n+snapshot.PageCachePiece)])
		n += m
	}
	return n, err
}

// token names the new cluster after what it is made of. Members restored from different snapshots, or with different
// revisions, then refuse each other, and don't form a cluster whose members disagree for ever.
func (p *Plan) token() string {
	sum := sha256.New()
	_, _ = io.WriteString(sum, p.Database.SHA256) // a hash never fails
	_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, p.o.BumpRevision))
	return "restored-" + hex.EncodeToString(sum.Sum(nil)[:8])
}
