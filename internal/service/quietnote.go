package service

import (
	"context"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// quietNote keeps on the disk until when nothing has changed after the end of the journal, so that each moment of an idle cluster can be restored. It
// is written as often as etcd is asked, and only while nobody writes.
type quietNote struct {
	dir    *snapshot.Dir
	log    logrus.FieldLogger
	name   string
	newest chan journal.Quiet // what is not written yet
	note   journal.QuietNote  // as it is on the disk
	again  bool               // its last one is of the range that is recorded
}

// newQuietNote goes on with what the last recording has left. begun: a new range is recorded.
func newQuietNote(dir *snapshot.Dir, node string, at position, begun bool, log logrus.FieldLogger) *quietNote {
	n := &quietNote{dir: dir, log: log, name: snapshot.QuietNote(node), newest: make(chan journal.Quiet, 1)}
	_ = dir.ReadNote(n.name, &n.note) // one that is damaged is replaced
	if i := len(n.note) - 1; i >= 0 && !begun {
		n.again = n.note[i].Cluster == at.cluster && n.note[i].Revision >= at.base
	}
	return n
}

// set does not wait for the disk. Only one goroutine calls it.
func (n *quietNote) set(q journal.Quiet) {
	select {
	case <-n.newest: // the disk is slow: only the newest counts
	default:
	}
	n.newest <- q
}

// run writes what set gets.
func (n *quietNote) run(ctx context.Context) {
	for {
		select {
		case q := <-n.newest:
			n.keep(q) //nolint:contextcheck // KeepNote takes none
		case <-ctx.Done():
			return
		}
	}
}

// keep writes the note. Without it, moments after the last change are refused: that stops nothing.
func (n *quietNote) keep(q journal.Quiet) {
	n.note, n.again = n.note.With(q, n.again), true
	if err := n.dir.KeepNote(n.name, n.note); err != nil {
		n.log.WithError(err).Debug("until when nothing has changed is not recorded")
	}
}
