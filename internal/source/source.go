// Package source finds the snapshot that is asked for and opens it: from the local directory, the bucket, a peer or any file.
//
// Invariants: nothing that it opens has been verified. What is fetched from elsewhere goes into an anonymous temporary
// file, which no crash can leave behind; only Remote.Read hands the bytes to somebody else.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// Request says which snapshot is asked for and where it may be.
type Request struct {
	Reference string                                         // snapshot.Latest, a name, a label or a file's path
	Newest    func(snapshot.Listing) (snapshot.Entry, error) // what Latest means; nil: the newest of all
	From      config.Place                                   // Anywhere: a path is a file, a Peer is asked, and of the two stores the local one first
	Dir       string
	Bucket    *s3.Config // nil: none
	Peer      string     // HOST:PORT; "": none
	Identity  func() (peer.Identity, error)
	Scratch   string                  // the directory whose disk gets what is fetched, and temporary files; "": where the snapshot is, or Dir
	MinFree   int64                   // bytes that a fetched snapshot leaves free there
	Progress  func(done, total int64) // of fetching; may be nil
	Notice    func(text string)       // hears that the next place is tried; may be nil
}

// Opened is an open snapshot. Its file is the caller's to close.
type Opened struct {
	File    *os.File
	Name    string        // the file's path, or the name of a fetched one
	Place   string        // where it came from, for people: a directory, s3://BUCKET, HOST:PORT or "a file"
	From    config.Place  // Anywhere: a file's path was given
	Scratch *snapshot.Dir // where large temporary files may be made
}

// Open finds the snapshot and fetches it if it is elsewhere. Errors wrap snapshot.ErrNotFound if there is none, or
// config.ErrUsage if the request contradicts itself.
func Open(ctx context.Context, r Request) (*Opened, error) {
	if r.From == config.Anywhere && r.Peer != "" {
		r.From = config.Peer
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	switch r.From {
	case config.Local:
		return r.openLocal()
	case config.S3, config.Peer:
		return r.fetch(ctx)
	case config.Anywhere, config.All:
	}
	return r.openNearest(ctx)
}

func (r Request) isPath() bool { return strings.ContainsRune(r.Reference, filepath.Separator) }

func (r Request) check() error {
	switch {
	case r.From == config.S3 && r.Bucket == nil:
		return config.Usagef("--from s3 needs --s3-bucket")
	case r.From == config.Peer && r.Peer == "":
		return config.Usagef("--from peer needs --peer HOST:PORT, as serve prints it")
	case r.Peer != "" && r.From != config.Peer:
		return config.Usagef("--peer goes with --from peer")
	case r.isPath() && (r.From == config.S3 || r.From == config.Peer):
		return config.Usagef("--from %s: %s is the path of a file: remove --from, or give a name", r.From, r.Reference)
	}
	return nil
}

// openNearest asks the bucket only for what the directory does not have.
func (r Request) openNearest(ctx context.Context) (*Opened, error) {
	o, err := r.openLocal()
	missing := errors.Is(err, snapshot.ErrNotFound) || errors.Is(err, snapshot.ErrUnusableDir) && errors.Is(err, os.ErrNotExist)
	switch {
	case r.isPath() || !missing:
		return o, err
	case r.Bucket == nil:
		return nil, fmt.Errorf("%w (in a bucket or at a peer? set --s3-bucket or --peer; a file: give its path with a slash in it)", err)
	}
	if r.Notice != nil {
		r.Notice(r.Dir + " has no such snapshot: looking in the bucket")
	}
	r.From = config.S3
	return r.fetch(ctx)
}

func (r Request) openLocal() (*Opened, error) {
	if r.isPath() {
		return openFile(r.Reference)
	}
	dir := snapshot.NewDir(r.Dir)
	l, err := dir.List()
	if err != nil {
		return nil, err
	}
	entry, err := r.find(l)
	if err != nil {
		if r.Reference != snapshot.Latest {
			err = fmt.Errorf("%w (a file elsewhere: give its path with a slash in it)", err)
		}
		return nil, fmt.Errorf("look in %s: %w", dir.Path(), err)
	}
	f, err := dir.File(entry.Name)
	if err != nil {
		return nil, err
	}
	return &Opened{File: f, Name: f.Name(), Place: r.Dir, From: config.Local, Scratch: scratchAt(dir.Path())}, nil
}

func openFile(path string) (*Opened, error) {
	// Before opening it, which would wait forever for the other end of a pipe.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = config.Usagef("%s is not a file", path)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Opened{File: f, Name: path, Place: "a file", Scratch: scratchAt(filepath.Dir(path))}, nil
}

// find picks the one that is asked for.
func (r Request) find(l snapshot.Listing) (snapshot.Entry, error) {
	if r.Newest != nil && r.Reference == snapshot.Latest {
		return r.Newest(l)
	}
	return l.Find(r.Reference, time.Now())
}

func (r Request) fetch(ctx context.Context) (*Opened, error) {
	at, err := Find(ctx, r)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	o := &Opened{Name: at.Entry.Name.String(), Place: at.Place, From: r.From, Scratch: scratchAt(cmp.Or(r.Scratch, r.Dir))}
	err = at.Read(ctx, func(body io.Reader, size int64) (err error) {
		o.File, err = o.Scratch.Fetch(ctx, body, size, r.MinFree, r.Progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// scratchAt prefers the given directory, for snapshots are large and /tmp may be small.
func scratchAt(path string) *snapshot.Dir {
	if dir := snapshot.NewDir(path); dir.Writable() == nil {
		return dir
	}
	return snapshot.NewDir(os.TempDir())
}
