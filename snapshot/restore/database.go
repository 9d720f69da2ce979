package restore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"etcd-rolling-backup/snapshot"
)

// content is what a restore must know about a database.
type content struct {
	last, finished, scheduled int64 // revisions: of the newest change in the database, and of compactions; 0: none
	members                   []snapshot.Member
	kubernetes                string // a key of Kubernetes; "": none was found
}

// begins returns the revision at which an etcd starts, raised as etcdutl does it (etcd, server/storage/mvcc/kvstore.go: restore).
func (c content) begins(bump uint64) int64 {
	if bump > 0 {
		return max(c.last+int64(bump), c.finished) //nolint:gosec // revisions are etcd's int64
	}
	return max(1, c.last, c.finished, c.scheduled) // a compaction may have removed the newest change, a deletion
}

// look verifies all pages of a database that etcd's library has written, and reads its content.
func look(ctx context.Context, path string) (c content, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("open the database: %w", err)
	}
	return lookInto(ctx, f, snapshot.VerifyPages)
}

// lookInto checks the database in f, reads its content, and closes f. A matching digest says only that etcd sent these bytes: its own file
// may be broken, and etcd's library would crash on it. An invalid database wraps snapshot.ErrDamaged.
func lookInto(ctx context.Context, f *os.File, check func(context.Context, *os.File, *bbolt.Tx) error) (c content, err error) {
	err = snapshot.ViewDatabase(f, func(tx *bbolt.Tx) error {
		if err := check(ctx, f, tx); err != nil {
			return err
		}
		if err := c.readRevisions(tx); err != nil {
			return err
		}
		c.kubernetes = kubernetesKey(tx)
		return c.readMembers(tx)
	})
	return c, err
}

// readRevisions reads the last key of the bucket "key", and the compactions in the bucket "meta": the main revision in 8 bytes
// big endian, and more (etcd, server/storage/mvcc/revision.go).
func (c *content) readRevisions(tx *bbolt.Tx) (err error) {
	keys, meta := tx.Bucket([]byte("key")), tx.Bucket([]byte("meta"))
	if keys == nil {
		return fmt.Errorf("%w: no bucket \"key\": not an etcd database", snapshot.ErrDamaged)
	}
	last, _ := keys.Cursor().Last()
	if c.last, err = mainRevision(last); err != nil || meta == nil {
		return err
	}
	if c.finished, err = mainRevision(meta.Get([]byte("finishedCompactRev"))); err != nil {
		return err
	}
	c.scheduled, err = mainRevision(meta.Get([]byte("scheduledCompactRev")))
	return err
}

// maxRevision is far more than an etcd reaches, and leaves room to raise it: etcd's own type is int64, and its library does not look for
// an overflow.
const maxRevision = math.MaxInt64 / 2

func mainRevision(b []byte) (int64, error) {
	switch {
	case b == nil:
		return 0, nil
	case len(b) < 8:
		return 0, fmt.Errorf("%w: the database has %x instead of a revision", snapshot.ErrDamaged, b)
	}
	revision := binary.BigEndian.Uint64(b)
	if revision > maxRevision {
		return 0, fmt.Errorf("%w: the database has the revision %d, which no etcd reaches", snapshot.ErrDamaged, revision)
	}
	return int64(revision), nil
}

func (c *content) readMembers(tx *bbolt.Tx) error {
	b := tx.Bucket([]byte("members"))
	if b == nil {
		return nil // of a member that never saw the cluster's member list
	}
	return b.ForEach(func(_, v []byte) error {
		var m membership.Member
		if err := json.Unmarshal(v, &m); err != nil {
			return fmt.Errorf("%w: the database's list of members: %w", snapshot.ErrDamaged, err)
		}
		c.members = append(c.members, snapshot.Member{
			ID: snapshot.ID(m.ID), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner,
		})
		return nil
	})
}
