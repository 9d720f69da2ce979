package service

import (
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/detect"
	"etcd-rolling-backup/snapshot/member"
)

// finder says how the member is reached now. If no setting says which etcd is meant, it looks for the one of this node: before each connection
// until etcd has answered, and again once it no longer does, because it may have been installed, or moved, since the daemon was started.
type finder struct {
	look func() (*detect.Member, error) // nil: the settings say which etcd is meant
	log  logrus.FieldLogger

	mu       sync.Mutex
	etcd     config.Etcd
	found    detect.Member // the last one; zero: none yet
	answered bool          // by this one, to the last connection
}

// newFinder logs what was found before the start.
func newFinder(e config.Etcd, p Process, log logrus.FieldLogger) *finder {
	f := &finder{look: p.Find, log: log, etcd: e}
	if p.Detected != nil {
		f.use(*p.Detected)
	}
	return f
}

// member returns the connection as it is to be made now. Two possible etcds are an error: nobody but a person can choose.
func (f *finder) member() (member.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.look == nil || f.answered {
		return f.etcd.Member()
	}
	found, err := f.look()
	if err != nil {
		return member.Config{}, config.Usagef("%w", err)
	}
	if found != nil && *found != f.found { // what is no longer found may be stopped for a while
		f.use(*found)
	}
	return f.etcd.Member()
}

func (f *finder) use(m detect.Member) {
	f.found, f.etcd.Undetected = m, false
	f.etcd.Endpoints, f.etcd.CACert, f.etcd.Cert, f.etcd.Key = []string{m.Endpoint}, m.CACert, m.Cert, m.Key
	f.log.WithFields(logrus.Fields{
		"kind": m.Kind, "source": m.Source, "endpoint": m.Endpoint, "cacert": m.CACert, "cert": m.Cert, "key": m.Key, "data_dir": m.DataDir,
	}).Info("etcd detected on this node, as no setting says which one to use")
}

// looks reports that the next connection may be another one.
func (f *finder) looks() bool { return f != nil && f.look != nil }

// connected records the result of a connection, and adds to its error what is missing.
func (f *finder) connected(err error) error {
	if f == nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered = err == nil
	if err != nil && f.etcd.Undetected {
		return fmt.Errorf("%w; %w", err, detect.ErrNone)
	}
	return err
}
