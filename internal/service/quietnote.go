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
	node   string
	log    logrus.FieldLogger
	newest chan journal.Quiet // what is not written yet
}

func newQuietNote(dir *snapshot.Dir, node string, log logrus.FieldLogger) *quietNote {
	return &quietNote{dir, node, log, make(chan journal.Quiet, 1)}
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
			// Without it, moments after the last change are refused: that stops nothing.
			if err := n.dir.KeepNote(snapshot.QuietNote(n.node), q); err != nil { //nolint:contextcheck // it takes none
				n.log.WithError(err).Debug("until when nothing has changed is not recorded")
			}
		case <-ctx.Done():
			return
		}
	}
}
