package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// newPlan checks everything that needs no snapshot.
func newPlan(o Options, now time.Time) (p *Plan, err error) {
	if (o.BumpRevision > 0) != o.MarkCompacted {
		return nil, fmt.Errorf("%w: --bump-revision and --mark-compacted go together: set both or neither", ErrCluster)
	}
	p = &Plan{o: o, now: now}
	if err := p.findPlaces(); err != nil {
		return nil, err
	}
	if err := p.findOwner(); err != nil {
		return nil, err
	}
	if o.InitialCluster != "" || o.Members == Single {
		if p.Cluster, err = o.cluster(nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) findPlaces() (err error) {
	if p.o.WALDir != "" { // before the error that one of them does not exist inside the other
		if err := apart(p.o.DataDir, p.o.WALDir); err != nil {
			return err
		}
	}
	if err := checkFree(p.o.DataDir); errors.Is(err, ErrHeld) { // more useful than the error that data exists
		return err
	}
	if p.data, err = findPlace(dataFlag, p.o.DataDir, p.o.Replace, p.now); err != nil {
		return err
	}
	p.DataDir = p.data.dir
	if err := checkFree(p.DataDir); err != nil {
		return err
	}
	if p.o.WALDir == "" {
		if err := checkLog(p.DataDir); err != nil {
			return err
		}
	}
	places := []place{p.data}
	if p.o.WALDir != "" {
		if p.wal, err = findPlace(walFlag, p.o.WALDir, p.o.Replace, p.now); err != nil {
			return err
		}
		p.WALDir = p.wal.dir
		if err := apart(p.DataDir, p.WALDir); err != nil {
			return err
		}
		places = append(places, p.wal)
	}
	for _, at := range places {
		if at.old != "" {
			p.Aside = append(p.Aside, Move{From: at.swap, To: at.old})
		}
	}
	return nil
}

// checkLog refuses a restore without --wal-dir if the etcd that ran here kept its write-ahead log elsewhere. Started again with
// that old log, etcd would panic, or overwrite the restored data with the log's entries.
func checkLog(dataDir string) error {
	_, dbErr := os.Stat(filepath.Join(dataDir, "member", "snap", "db"))
	if _, err := os.Stat(filepath.Join(dataDir, "member", "wal")); dbErr == nil && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: the etcd that ran on %s kept its write-ahead log elsewhere: set --wal-dir to that directory", ErrTarget, dataDir)
	}
	return nil
}

// apart checks that neither directory is inside the other, because each is renamed as one.
func apart(dataDir, walDir string) error {
	dataDir, dataErr := filepath.Abs(dataDir)
	walDir, walErr := filepath.Abs(walDir)
	if err := errors.Join(dataErr, walErr); err != nil {
		return fmt.Errorf("%w: %w", ErrTarget, err)
	}
	if rel, err := filepath.Rel(dataDir, walDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%w: --wal-dir %s is inside --data-dir: remove the flag, or use a directory elsewhere", ErrTarget, walDir)
	}
	if rel, err := filepath.Rel(walDir, dataDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%w: --data-dir %s is inside --wal-dir: use a directory elsewhere", ErrTarget, dataDir)
	}
	return nil
}

func (p *Plan) findOwner() (err error) {
	if p.o.Owner != nil {
		if p.Owner = *p.o.Owner; !p.Owner.may() {
			return fmt.Errorf("%w: --chown %s: only root can do this", ErrOwner, p.Owner)
		}
		return nil
	}
	for _, path := range []string{filepath.Join(p.DataDir, "member"), p.DataDir, filepath.Dir(p.DataDir)} {
		if p.Owner, err = ownerOf(path); err == nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err == nil && !p.Owner.may() {
		p.Owner = Owner{UID: os.Geteuid(), GID: os.Getegid()} // only root can change an owner
	}
	return err
}
