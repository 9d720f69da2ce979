package restore

import (
	"context"
	"crypto/sha256"
	"io"

	"etcd-rolling-backup/snapshot"
)

// Save stores the database of a plan as a snapshot, for the other members: from the same bytes they start with the same state. source describes
// the cluster that it is of. Errors are those of snapshot.Take.
func (p *Plan) Save(ctx context.Context, dir *snapshot.Dir, source snapshot.Source, o snapshot.TakeOptions) (snapshot.Taken, error) {
	return snapshot.Take(ctx, &scratchStreamer{p, source}, dir, o)
}

// scratchStreamer sends a database as etcd does: with its digest behind it.
type scratchStreamer struct {
	plan   *Plan
	source snapshot.Source
}

// Source implements snapshot.Streamer.
func (s *scratchStreamer) Source() snapshot.Source { return s.source }

// Stream implements snapshot.Streamer.
func (s *scratchStreamer) Stream(ctx context.Context, w io.Writer, size func(int64)) error {
	length := s.plan.Database.Size
	size(length + sha256.Size)
	sum := sha256.New()
	from, to := io.NewSectionReader(s.plan.scratch, 0, length), io.MultiWriter(w, sum)
	for {
		switch _, err := io.CopyN(to, from, snapshot.PageCachePiece); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == io.EOF: //nolint:errorlint // as io.CopyN returns it
			_, err = w.Write(sum.Sum(nil))
			return err
		case err != nil:
			return err
		}
	}
}
