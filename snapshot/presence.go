package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// presencePrefix begins the name of the file that the daemons of one node lock.
const presencePrefix = ".daemon_"

// PresenceFile returns the name of the file that the daemons of a node lock while they run.
func PresenceFile(node string) string { return presencePrefix + node + ".lock" }

// Presence shows that a daemon of a node works in a directory. Each one holds a shared lock on the same file, which the kernel releases
// when the process exits for any reason. Nothing is refused because of it: a lock that a network file system keeps for a dead host must
// not prevent backups.
type Presence struct{ file *os.File }

// Enter makes this process present in the directory until it calls Close.
func (d *Dir) Enter(node string) (*Presence, error) {
	f, err := openOwn(filepath.Join(d.path, PresenceFile(node)), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	p := &Presence{file: f}
	if _, err := p.lock(unix.LOCK_SH); err != nil {
		return nil, errors.Join(lockFailed(f.Name(), err), f.Close())
	}
	return p, nil
}

// EnterJournal takes the right to record the journal of a node in the directory, until Close or the end of the process. If another process
// has it, the error wraps ErrInUse.
func (d *Dir) EnterJournal(node string) (*Presence, error) {
	f, err := openOwn(filepath.Join(d.path, presencePrefix+node+".journal.lock"), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	p := &Presence{file: f}
	mine, err := p.lock(unix.LOCK_EX)
	switch {
	case err != nil:
		return nil, errors.Join(lockFailed(f.Name(), err), f.Close())
	case !mine:
		return nil, errors.Join(fmt.Errorf("%w records the journal of the node %s in %s", ErrInUse, node, d.path), f.Close())
	}
	return p, nil
}

// Alone reports whether no other process is present. It may be wrong for a moment while two processes look at the same time.
func (p *Presence) Alone() (bool, error) {
	alone, err := p.lock(unix.LOCK_EX)
	if err != nil {
		return false, err
	}
	_, err = p.lock(unix.LOCK_SH) // also after a refusal: the kernel has dropped the shared lock for it
	return alone, err
}

// lock returns false if another process prevents the lock.
func (p *Presence) lock(how int) (ok bool, err error) {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return false, err
	}
	var flockErr error
	if err := conn.Control(func(fd uintptr) { flockErr = unix.Flock(int(fd), how|unix.LOCK_NB) }); err != nil {
		return false, err
	}
	if errors.Is(flockErr, unix.EWOULDBLOCK) {
		return false, nil
	}
	return flockErr == nil, flockErr
}

// Close ends the presence.
func (p *Presence) Close() error { return p.file.Close() }
