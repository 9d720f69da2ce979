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
	"slices"
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
	// At is the state that is asked for; nil: that of the snapshot, without the journal.
	At *config.At
	// FindHighest asks for Opened.Highest.
	FindHighest bool
	// Replaced is the data that is where the restore would be. What clients have seen of it counts for Opened.Highest.
	Replaced Replaced
	// SkipBases and SkipSegments are what turned out not to lead to that state.
	SkipBases    []snapshot.Name
	SkipSegments []SkippedSegment
	// AnyCluster is for a caller that only looks: snapshots of several clusters are reported, and the newest of all is opened.
	AnyCluster bool
}

// Replaced is data of an etcd; zero: there is none, or it can't be read.
type Replaced struct {
	ClusterID snapshot.ID
	Revision  int64
}

// SkippedSegment is a segment in a place.
type SkippedSegment struct {
	Place config.Place
	Name  snapshot.SegmentName
}

// Opened is an open snapshot. Its file is the caller's to close, and so is the continuation.
type Opened struct {
	Journal *Continuation // from the snapshot to the state that is asked for; nil: none
	// Unchanged is until when nothing had changed after the snapshot, as the journal knows, where nothing continues it. Zero: not known.
	Unchanged time.Time

	Journaled bool // the places that were searched have a journal

	// Highest is the highest revision that snapshots and the journal know of the cluster, before and after restores too. 0: not known.
	Highest int64

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
		return r.openPath(ctx)
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
	entry, at, read, err := r.pick(ctx, all)
	if err = r.without(failed, all, err); err != nil {
		return nil, err
	}
	var journal *Continuation
	r.noticeJournal(ctx, entry, at)
	if r.wantsJournal() || r.FindHighest {
		if err := r.addSegments(ctx, all, entry.Name.Node); err != nil {
			return nil, err
		}
	}
	if r.wantsJournal() {
		if entry, at, journal, err = r.withJournal(ctx, all, entry, at, read); err != nil {
			return nil, err
		}
	}
	var highest int64
	m, noManifest := at.Manifest(ctx, entry.Name)
	if noManifest == nil {
		highest, err = r.highest(ctx, all, m)
	} else { // what it is comes to light when it is opened
		highest, err = r.highestRestored(unknownCluster)
	}
	if err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	o, err := r.openIn(ctx, all, entry, at)
	if err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	o.Highest, o.Journaled = highest, slices.ContainsFunc(all, func(l Listing) bool { return len(l.Segments) > 0 })
	if o.Journal = journal; journal == nil && r.wantsJournal() {
		if quiet := quietAfter(all, entry.Name, m); quiet.After(m.CreatedAt) {
			o.Unchanged = quiet
		}
	}
	return o, nil
}

// wantsJournal: a snapshot that was chosen by name or path is restored as it is, unless a moment is asked for.
func (r Request) wantsJournal() bool {
	return r.At != nil && !r.At.Base && (r.At.Text != "" || r.Reference == snapshot.Latest)
}

// noticeJournal says that a snapshot that was named is restored as it is, though a journal on the disk continues it.
func (r Request) noticeJournal(ctx context.Context, e snapshot.Entry, at Listing) {
	if r.At == nil || r.At.Text != "" || r.wantsJournal() || at.local == nil {
		return
	}
	m, err := at.Manifest(ctx, e.Name)
	if err != nil {
		return // what is wrong comes to light when it is opened
	}
	if slices.ContainsFunc(at.Segments, func(s snapshot.SegmentEntry) bool { return s.Name.First <= m.Revision+1 && s.Name.Last > m.Revision }) {
		r.notice("%s is restored as it is; the journal continues it: --at latest, a revision or a time restores that too", e.Name)
	}
}

// openPath opens a file, and what continues it from the directory and the bucket.
func (r Request) openPath(ctx context.Context) (*Opened, error) {
	o, err := openFile(r.Reference)
	if err != nil || !r.wantsJournal() && !r.FindHighest {
		return o, err
	}
	if err := r.continueFile(ctx, o); err != nil {
		return nil, errors.Join(err, o.File.Close())
	}
	return o, nil
}

// continueFile finds what continues an open file, and the highest revision of its cluster.
func (r Request) continueFile(ctx context.Context, o *Opened) error {
	info, err := o.File.Stat()
	if err != nil {
		return err
	}
	a, err := snapshot.OpenArchive(o.File, info.Size())
	switch {
	case err != nil && r.wantsJournal():
		return fmt.Errorf("--at %s: %s: %w", r.At.Text, o.Name, err)
	case err != nil: // whether it can be restored comes to light later
		o.Highest, err = r.highestRestored(unknownCluster)
		return err
	}
	all, failed, err := r.list(ctx)
	switch {
	case err != nil && (r.wantsJournal() || ctx.Err() != nil):
		return err
	case err != nil: // the file is perhaps all that there is
		r.notice("the revision is raised from those of the file and of the data that is replaced: %v", err)
		o.Highest, err = r.highestRestored(kinOf(nil, a.Manifest.ClusterID))
		return err
	}
	defer closeAll(all)
	if err := r.addSegments(ctx, all, a.Manifest.Node); err != nil {
		return err
	}
	if r.wantsJournal() {
		_, o.Journal, err = r.continued(ctx, all, base{manifest: a.Manifest}, nil)
		if err = r.without(failed, all, err); err != nil {
			return err
		}
	}
	if o.Highest, err = r.highest(ctx, all, a.Manifest); err != nil {
		return errors.Join(err, o.Journal.Close())
	}
	return nil
}

// openIn opens a listed snapshot.
func (r Request) openIn(ctx context.Context, all []Listing, entry snapshot.Entry, at Listing) (*Opened, error) {
	if r.Newest == nil && !r.isNamed(all) && (r.At == nil || r.At.Newest()) {
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
	case r.From == config.Peer && r.At != nil && r.At.Text != "" && !r.At.Base:
		return config.Usagef("--at %s: a peer serves one snapshot, without the journal: remove --at", r.At.Text)
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
