// Package source finds the snapshot that is asked for and opens it: from the local directory, the bucket, a peer or any file.
//
// Invariants: nothing that it opens has been verified. The newest of several places is the newest of all of them, and of one cluster
// only. What is fetched from elsewhere goes into an anonymous temporary file, which no crash can leave behind; only Remote.Read hands
// the bytes to somebody else.
package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// askLimit is how long the bucket may take to list its snapshots if the directory may have what is asked for: a restore does not wait
// for minutes because S3 is down.
const askLimit = 15 * time.Second

// Request says which snapshot is asked for and where it may be.
type Request struct {
	Reference string                                         // snapshot.Latest, a name, a label or a file's path
	Newest    func(snapshot.Listing) (snapshot.Entry, error) // what Latest means; nil: the newest of all, if they are of one cluster
	From      config.Place                                   // Anywhere: a path is a file, a Peer is asked, and then directory and bucket are
	Dir       string
	Bucket    *s3.Config // nil: none
	Nodes     []string   // of which snapshots the bucket is searched, and of those that do not say the node; nil: all
	Host      string     // the name of this host in snapshot names; "": not known
	Peer      string     // HOST:PORT; "": none
	Identity  func() (peer.Identity, error)
	Scratch   string                  // the directory whose disk gets what is fetched, and temporary files; "": where the snapshot is, or Dir
	MinFree   int64                   // bytes that a fetched snapshot leaves free there
	Progress  func(done, total int64) // of fetching; may be nil
	Notice    func(text string)       // hears which place was chosen, and why; may be nil

	// Before may refuse a snapshot in the bucket before it is downloaded, by its manifest; nil: nothing is refused. It is not called if the
	// manifest can't be read.
	Before func(context.Context, snapshot.Manifest) error
	// Room may refuse a download of so many bytes to Scratch; nil: MinFree decides alone.
	Room func(size int64) error
	// UseIntactCopy is for a caller that wants the data and does not judge the file: from Anywhere, instead of a local file that is damaged, it
	// gets the copy in the bucket if there is one.
	UseIntactCopy bool
	// AnyCluster is for a caller that only looks: snapshots of several clusters are reported, and the newest of all is opened.
	AnyCluster bool
}

// Opened is an open snapshot. Its file is the caller's to close.
type Opened struct {
	File     *os.File
	Snapshot snapshot.Name // zero: a file with another name
	Name     string        // the file's path, or the name of a fetched one
	Place    string        // where it came from, for people: a directory, s3://BUCKET/FOLDER, HOST:PORT or "a file"
	From     config.Place  // Anywhere: a file's path was given
	Scratch  *snapshot.Dir // where large temporary files may be made
}

// Open finds the snapshot and fetches it if it is elsewhere. Errors wrap snapshot.ErrNotFound if there is none, or
// config.ErrUsage if the request contradicts itself or may mean snapshots of several clusters.
func Open(ctx context.Context, r Request) (*Opened, error) {
	if r.From == config.Anywhere && r.Peer != "" {
		r.From = config.Peer
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	switch {
	case r.isPath():
		return openFile(r.Reference)
	case r.From == config.Peer:
		at, err := r.findAtPeer(ctx)
		if err != nil {
			return nil, err
		}
		return r.fetch(ctx, at)
	}
	all, failed, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	entry, at, err := r.pick(ctx, all)
	if err = r.without(failed, all, err); err != nil {
		return nil, err
	}
	if r.Newest == nil && !r.isNamed(all) {
		r.compare(all, entry, at)
	}
	if r.From == config.Anywhere {
		at = r.intactCopy(ctx, all, entry, at)
	}
	if at.Place != config.S3 {
		return at.open(entry.Name)
	}
	r.noticeVersion(at, entry.Name)
	if r.Before != nil {
		if m, err := at.Manifest(ctx, entry.Name); err == nil {
			if err := r.Before(ctx, m); err != nil {
				return nil, fmt.Errorf("%s: %w", entry.Name, err)
			}
		}
	}
	o, err := r.fetch(ctx, at.remote(entry))
	return o, r.orLocal(err, all)
}

// orLocal adds to the error of a fetch what the directory has.
func (r Request) orLocal(err error, all []Listing) error {
	if err == nil || r.From != config.Anywhere {
		return err
	}
	for _, l := range all {
		if e, none := r.find(l.Listing); l.Place == config.Local && none == nil {
			return fmt.Errorf("%w; %s has %s (%s): --from local uses it", err, l.Where, e.Name, old(e.Name.Time, time.Now()))
		}
	}
	return err
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

func (r Request) notice(format string, args ...any) {
	if r.Notice != nil {
		r.Notice(fmt.Sprintf(format, args...))
	}
}

func openFile(path string) (*Opened, error) {
	f, err := regular.Open(path, os.O_RDONLY)
	if errors.Is(err, regular.ErrUnusable) {
		return nil, config.Usagef("%w", err)
	}
	if err != nil {
		return nil, err
	}
	name, _ := snapshot.ParseName(strings.TrimSuffix(filepath.Base(path), snapshot.BrokenSuffix)) // any file may be one
	return &Opened{File: f, Snapshot: name, Name: path, Place: "a file", Scratch: ScratchAt(filepath.Dir(path))}, nil
}
