package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// OpenBucket reads the keys and certificates of the bucket as they are now. Errors wrap config.ErrUsage if there is no bucket.
func OpenBucket(b *s3.Config) (*s3.Bucket, error) {
	if b == nil {
		return nil, config.Usagef("--s3-bucket is empty: set it to the bucket that has the snapshots")
	}
	return s3.Open(*b)
}

// Listing is what was found in one place.
type Listing struct {
	snapshot.Listing
	Place config.Place // Local or S3
	Where string       // for people: the directory, or s3://BUCKET/FOLDER
	// Others: the place has snapshots of other nodes, which are left out.
	Others bool

	// Remove deletes one; a missing one wraps snapshot.ErrNotFound.
	Remove func(context.Context, snapshot.Name) error
	Close  func()

	// describe reads what one says of itself; in the bucket that takes a request.
	describe func(context.Context, snapshot.Entry) Read

	// version says which version of an object stands for the snapshot; nil: the current one.
	version func(snapshot.Name) (s3.Version, bool)
	local   *snapshot.Dir                                                                    // nil: the bucket
	get     func(context.Context, snapshot.Name) (body io.ReadCloser, size int64, err error) // of the bucket
	// segments lists those of the journal in the bucket, and getSegment fetches one.
	segments   func(ctx context.Context, nodes []string) ([]snapshot.SegmentEntry, error)
	getSegment func(context.Context, snapshot.SegmentName) (body io.ReadCloser, size int64, err error)
	folders    func(context.Context) ([]string, error) // of the bucket
}

// Has tells whether the snapshot was there.
func (l Listing) Has(n snapshot.Name) bool {
	_, has := l.entry(n)
	return has
}

func (l Listing) entry(n snapshot.Name) (snapshot.Entry, bool) {
	i := slices.IndexFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == n })
	if i < 0 {
		return snapshot.Entry{}, false
	}
	return l.Snapshots[i], true
}

// Empty says that the place has no snapshots. Of a bucket it names the folders that exist, if the keys may list them: most often
// --s3-folder is wrong.
func (l Listing) Empty(ctx context.Context) string {
	text := l.Where + " has no snapshots"
	if l.folders == nil {
		return text
	}
	found, err := l.folders(ctx)
	if err != nil || len(found) == 0 {
		text += ": is --s3-folder right?"
		if l.version == nil {
			text += " Were they deleted? --s3-versions finds what a versioned bucket still has"
		}
		return text
	}
	const most = 8
	var names []string
	for _, folder := range found[:min(len(found), most)] {
		if folder == "" {
			folder = "the top of the bucket, without --s3-folder"
		}
		names = append(names, folder)
	}
	if len(found) > most {
		names = append(names, "and more")
	}
	return text + ": is --s3-folder right? There are: " + strings.Join(names, ", ")
}

// PlaceError says why a place could not be listed.
type PlaceError struct {
	Place config.Place
	Where string // for people
	Err   error
}

func (e *PlaceError) Error() string { return e.Err.Error() }
func (e *PlaceError) Unwrap() error { return e.Err }

// NoDirectory reports that there is no snapshot directory: a fresh machine.
func (e *PlaceError) NoDirectory() bool {
	return errors.Is(e.Err, snapshot.ErrUnusableDir) && errors.Is(e.Err, fs.ErrNotExist)
}

// List lists the directory, unless dir is "", and the bucket, unless it is nil, both at the same time. If one of them fails, it also
// returns what the other one has. The directory comes first. The caller closes each listing.
func List(ctx context.Context, dir string, bucket *s3.Config) (all []Listing, failed []*PlaceError) {
	return Places{Dir: dir, Bucket: bucket}.List(ctx)
}

// ListNodes is List, but of the bucket only the snapshots of some nodes and those that do not say the node; nil: all.
func ListNodes(ctx context.Context, dir string, bucket *s3.Config, nodes []string) (all []Listing, failed []*PlaceError) {
	return Places{Dir: dir, Bucket: bucket, Nodes: nodes}.List(ctx)
}

// Places says what is listed, and where.
type Places struct {
	Dir     string     // "": no directory
	Bucket  *s3.Config // nil: no bucket
	Nodes   []string   // of which snapshots and segments the bucket is searched, and of snapshots that do not say the node; nil: all
	Journal bool       // Listing.Segments of the bucket are wanted too; those of the directory always come along
}

// List lists both places at the same time, as the function List does.
func (p Places) List(ctx context.Context) (all []Listing, failed []*PlaceError) {
	var local, remote Listing
	var localErr, remoteErr error
	var both sync.WaitGroup
	if p.Bucket != nil {
		both.Go(func() { remote, remoteErr = p.listBucket(ctx) })
	}
	if p.Dir != "" {
		local, localErr = listDir(p.Dir)
	}
	both.Wait()
	add := func(l Listing, err error) {
		if err != nil {
			failed = append(failed, &PlaceError{Place: l.Place, Where: l.Where, Err: err})
			return
		}
		all = append(all, l)
	}
	if p.Dir != "" {
		add(local, localErr)
	}
	if p.Bucket != nil {
		add(remote, remoteErr)
	}
	return all, failed
}

// closeAll closes what List returned.
func closeAll(all []Listing) {
	for _, l := range all {
		l.Close()
	}
}

// joined is one error of several places.
func joined(failed []*PlaceError) error {
	var all []error
	for _, e := range failed {
		all = append(all, e)
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

func listDir(path string) (Listing, error) {
	dir := snapshot.NewDir(path)
	l, err := dir.List()
	return Listing{
		Place: config.Local, Where: dir.Path(), Listing: l, Remove: dir.Remove, Close: func() {}, local: dir,
		describe: func(_ context.Context, e snapshot.Entry) Read { return describeFile(dir, e) },
	}, err
}

func (p Places) listBucket(ctx context.Context) (Listing, error) {
	l := Listing{Place: config.S3}
	b, err := OpenBucket(p.Bucket)
	if err != nil {
		return l, err
	}
	l.Where = p.Bucket.Place()
	if p.Nodes == nil {
		l.Snapshots, err = b.List(ctx)
	} else {
		l.Snapshots, l.Others, err = b.ListNodes(ctx, p.Nodes)
	}
	if err == nil && p.Journal {
		l.Segments, err = b.ListSegments(ctx, p.Nodes)
	}
	if err != nil {
		b.Close()
		return l, err
	}
	l.describe = func(ctx context.Context, e snapshot.Entry) Read { return describeObject(ctx, b, e) }
	l.Remove, l.get, l.folders, l.Close = b.Remove, b.Get, b.Folders, b.Close
	l.segments, l.getSegment = b.ListSegments, b.GetSegment
	if p.Bucket.Versions {
		l.version = b.Version
	}
	return l, nil
}

// Version says which version of an object was chosen for the snapshot, if it is not the current one; false: there is no such choice.
func (l Listing) Version(n snapshot.Name) (s3.Version, bool) {
	if l.version == nil {
		return s3.Version{}, false
	}
	v, ok := l.version(n)
	return v, ok && (v.Loss != s3.NotLost || len(v.Choices) > 0)
}

// noticeVersion says that the name itself no longer has the snapshot.
func (r Request) noticeVersion(l Listing, n snapshot.Name) {
	if v, ok := l.Version(n); ok && len(v.Choices) == 0 { // otherwise it is an error
		r.notice("warning: %s was %s in %s: using its version %s of %s", n, v.Loss, l.Where, v.ID, v.Modified.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
}

// open opens a snapshot that is in the listed directory.
func (l Listing) open(n snapshot.Name) (*Opened, error) {
	f, err := l.local.File(n)
	if err != nil {
		return nil, err
	}
	return &Opened{File: f, Snapshot: n, Name: f.Name(), Place: l.Where, From: config.Local, Scratch: ScratchAt(l.local.Path())}, nil
}

// remote makes a snapshot of the listed bucket ready to be fetched. Closing it closes the listing.
func (l Listing) remote(e snapshot.Entry) *Remote {
	return &Remote{
		Entry: e, Place: l.Where, From: l.Place, Close: l.Close,
		get: func(ctx context.Context) (io.ReadCloser, int64, error) { return l.get(ctx, e.Name) },
	}
}

// intact reads all of a local snapshot. Of one in the bucket only its end is known.
func (l Listing) intact(ctx context.Context, n snapshot.Name) error {
	if l.local == nil {
		return nil
	}
	return l.local.VerifyChecksum(ctx, n, nil)
}

// ScratchAt prefers the given directory, for snapshots are large and /tmp may be small.
func ScratchAt(path string) *snapshot.Dir {
	if dir := snapshot.NewDir(path); dir.Writable() == nil {
		return dir
	}
	return snapshot.NewDir(os.TempDir())
}

// Wheres names the places for people.
func Wheres(all []Listing) string {
	var names []string
	for _, l := range all {
		names = append(names, l.Where)
	}
	return strings.Join(names, " and ")
}
