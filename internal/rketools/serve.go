package rketools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/peer"
)

// peerPort is etcd's client port, which is free while etcd is stopped.
const peerPort = "2379"

// serve offers the raw database of one snapshot to the other hosts.
type serve struct {
	name     string
	dir      string        // /backup
	identity peer.Identity // --cacert, --cert, --key
	listen   string        // HOST:PORT; "": 0.0.0.0:2379
	minFree  int64         // bytes of the disk that an unpacked archive leaves free
	log      logrus.FieldLogger
}

// run serves until ctx ends, which is no error. RKE looks after 5 seconds whether serve still runs, so everything that fails quickly comes
// first. Unpacking a large archive takes longer: requests wait for it.
func (s serve) run(ctx context.Context) error {
	if err := checkName(s.name); err != nil {
		return err
	}
	id := s.identity
	id.Nameless = true
	if err := id.CheckServer(); err != nil {
		return err
	}
	o := &offer{serve: s, store: snapshot.NewDir(s.dir)}
	if err := o.find(); err != nil {
		return err
	}
	defer o.close()
	address := s.listen
	if address == "" {
		address = net.JoinHostPort("0.0.0.0", peerPort)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w (is etcd still running on this host?)", err)
	}
	s.log.WithFields(logrus.Fields{"name": s.name, "file": o.file.Name(), "address": l.Addr().String()}).Info("serving snapshot")
	return peer.ServeFile(ctx, l, id, s.name, o.prepare, func(e peer.Event) { service.LogPeerEvent(s.log, e) })
}

// offer is what one serve offers.
type offer struct {
	serve
	store  *snapshot.Dir
	file   opened // the archive or the raw database
	zipped bool
	raw    *os.File // once an archive is unpacked
}

func (o *offer) close() {
	_ = o.file.Close() // both were only read
	if o.raw != nil {
		_ = o.raw.Close()
	}
}

// find opens the archive, or else the raw database, and checks what shows without reading all of it.
func (o *offer) find() (err error) {
	o.file, err = open(o.store, o.name+zipSuffix)
	if !errors.Is(err, snapshot.ErrNotFound) {
		o.zipped = true
		return o.orRaw(err)
	}
	o.file, err = open(o.store, o.name)
	switch {
	case errors.Is(err, snapshot.ErrNotFound):
		return fmt.Errorf("%w: %s contains neither %s%s nor %s", snapshot.ErrNotFound, o.dir, o.name, zipSuffix, o.name)
	case err == nil && o.file.in.Form != input.FormDatabase:
		return errors.Join(fmt.Errorf("%s: %w: it is not a database but a %s", o.file.Name(), input.ErrForm, o.file.in.Form), o.file.Close())
	}
	return err
}

// prepare makes the proven raw database.
func (o *offer) prepare(ctx context.Context) (f peer.File, err error) {
	raw := o.file.File
	if o.zipped {
		f.Digest, err = o.unpack(ctx)
		raw = o.raw
	} else {
		f.Digest, err = prove(ctx, raw)
	}
	if err != nil {
		return f, fmt.Errorf("serve %s: %w", o.file.Name(), err)
	}
	info, err := raw.Stat()
	if err != nil {
		return f, err
	}
	f.Content, f.Size = raw, info.Size()
	o.log.WithFields(logrus.Fields{"name": o.name, "bytes": f.Size, "sha256": f.Digest}).Info("snapshot verified, ready for downloads")
	return f, nil
}

// unpack leaves the raw database in the directory, where RKE needs it on this host too.
func (o *offer) unpack(ctx context.Context) (digest string, err error) {
	u, err := unpack(ctx, o.store, o.name, o.file.in, o.minFree)
	if err != nil {
		return "", o.orRaw(err)
	}
	if u.Damage != nil {
		o.log.WithError(u.Damage).WithField("file", o.file.Name()).Warn("archive damaged, database intact")
	}
	o.raw, err = o.store.Open(o.name)
	return u.SHA256, err
}

// orRaw mentions the raw database next to a damaged archive. Which of the two is meant, only the user knows: they may differ.
func (o *offer) orRaw(err error) error {
	if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, input.ErrForm) {
		return err
	}
	raw, missing := open(o.store, o.name)
	if missing != nil {
		return err
	}
	_ = raw.Close() // it was only opened
	return fmt.Errorf("%w (next to it is %s: to serve that, move the archive away)", err, raw.Name())
}
