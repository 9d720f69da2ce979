package service

import (
	"os"
	"path/filepath"
	"sync/atomic"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// home watches the directory: whether it is the same as at the start, because on another disk snapshots continue without their history, and
// whether another daemon with the same node name works there.
type home struct {
	dir      *snapshot.Dir
	node     string             // in the name of its file
	shown    string             // its name for people
	first    os.FileInfo        // nil: it could not be read, and nothing is reported
	presence *snapshot.Presence // nil: not possible
	busy     atomic.Bool        // a look is under way, for as long as the file system takes
	replaced atomic.Bool
	shared   atomic.Bool
}

// newHome takes up residence. What fails in that prevents no backup, and whoever works in the directory reports its faults.
func newHome(dir *snapshot.Dir, s config.Store) *home {
	h := &home{dir: dir, node: s.Node, shown: s.NodeName()}
	h.first, _ = os.Stat(dir.Path())
	h.presence, _ = dir.Enter(s.Node)
	return h
}

func (h *home) leave() {
	if h.presence != nil {
		_ = h.presence.Close() // the kernel closes it in any case
	}
}

// look never waits, for a file system whose server is down may not answer.
func (h *home) look() {
	if !h.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer h.busy.Store(false)
		if now, err := os.Stat(h.dir.Path()); err == nil && h.first != nil {
			h.replaced.Store(!os.SameFile(h.first, now))
		}
		if h.presence == nil {
			return
		}
		if alone, err := h.presence.Alone(); err == nil {
			h.shared.Store(!alone)
		}
	}()
}

// problems are what was seen at the last look.
func (h *home) problems() []status.Problem {
	var out []status.Problem
	dir := h.dir.Path()
	if h.replaced.Load() {
		out = append(out, status.Problem{Code: status.CodeDirectoryReplaced, Text: dir + " is not the same directory as at the start: its disk was " +
			"unmounted, or another was mounted over it: mount it again, or restart the daemon if this is intended"})
	}
	if h.shared.Load() {
		out = append(out, status.Problem{Code: status.CodeOtherDaemon, Text: "another daemon of the same node name, " + h.shown + ", works in " + dir +
			" (`fuser -v " + filepath.Join(dir, snapshot.PresenceFile(h.node)) + "` shows both): stop one of them, or give each its own --dir or --node"})
	}
	return out
}
