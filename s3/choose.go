package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/snapshot"
)

// contents identifies the snapshot in a version, by the digests in its manifest. Other bytes with the same digests are damaged.
type contents struct{ archive, database string }

// candidate is a version that is a snapshot.
type candidate struct {
	stored
	contents
}

// choose returns the version that is the snapshot: the one that Config.VersionID names, or else the oldest one that is a snapshot and
// was stored after the time in its name. The program stores a name once, so what was stored later is not its work. A thief of the key
// can also be faster, because the names are known in advance: so what was stored too early is used only if there is nothing else, and
// neither that nor one of several snapshots is used without a person's choice, see [Bucket.undecided]. If no version is a snapshot, the
// newest is returned.
func (b *Bucket) choose(ctx context.Context, h *history) (stored, Version, error) {
	if h.wanted.id != "" {
		return h.wanted, Version{ID: h.wanted.id, Modified: h.wanted.modified, Loss: h.loss(h.wanted)}, nil
	}
	if len(h.copies)+len(h.early) == 1 { // what it contains is found out by the reader
		return h.newest, h.version(h.newest, nil), nil
	}
	found, err := b.snapshots(ctx, h, h.copies)
	if err == nil && len(found) == 0 {
		found, err = b.snapshots(ctx, h, h.early)
	}
	if err != nil || len(found) == 0 {
		return h.newest, h.version(h.newest, nil), err
	}
	chosen := found[0].stored
	for _, same := range slices.Concat(h.copies, h.early) { // the newest of the same bytes, because the name itself may still have them
		if same.etag == chosen.etag && same.size == chosen.size && h.isEarly(same) == h.isEarly(chosen) {
			chosen = same
			break
		}
	}
	return chosen, h.version(chosen, found), nil
}

func (h *history) version(o stored, found []candidate) Version {
	v := Version{ID: o.id, Modified: o.modified, Loss: h.loss(o)}
	switch {
	case len(found) > 1:
		for _, c := range found {
			v.Choices = append(v.Choices, Candidate{ID: c.id, Modified: c.modified, Size: c.size})
		}
	case h.isEarly(o):
		v.Choices = []Candidate{{ID: o.id, Modified: o.modified, Size: o.size}}
	}
	return v
}

func (h *history) loss(o stored) Loss {
	switch {
	case h.deleted:
		return Deleted
	case o.id != h.newest.id:
		return Overwritten
	}
	return NotLost
}

// snapshots returns the oldest version of each snapshot among those given, oldest first.
func (b *Bucket) snapshots(ctx context.Context, h *history, copies []stored) (found []candidate, err error) {
	type bytesOf struct {
		etag string
		size int64
	}
	read := map[bytesOf]bool{}
	for _, o := range slices.Backward(copies) {
		if read[bytesOf{o.etag, o.size}] && o.etag != "" {
			continue
		}
		read[bytesOf{o.etag, o.size}] = true
		at := b.objectOf(h.name)
		at.version = o.id
		c, ok, err := b.isSnapshot(ctx, at, h.name)
		if err != nil {
			return nil, err
		}
		if c.archive == "" { // all that is known of another program's zip
			c.archive = o.etag
		}
		if ok && !slices.ContainsFunc(found, func(x candidate) bool { return x.contents == c }) {
			found = append(found, candidate{o, c})
		}
	}
	return found, nil
}

// undecided returns an error if a person must choose the version of a snapshot.
func (b *Bucket) undecided(ctx context.Context, n snapshot.Name) error {
	v, ok := b.Version(n)
	if !ok || len(v.Choices) == 0 {
		return nil
	}
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	text := fmt.Sprintf("%d versions of it are different snapshots, stored from %s to %s: list --s3-versions shows them: choose one with --s3-version-id",
		len(v.Choices), at(v.Choices[0].Modified), at(v.Choices[len(v.Choices)-1].Modified))
	if len(v.Choices) == 1 {
		text = fmt.Sprintf("it was stored at %s, before the time in its name: by somebody else, or a clock was wrong: if you trust it, give --s3-version-id %s",
			at(v.Modified), v.ID)
	}
	return b.explain(ctx, b.objectOf(n).reading("get"), &versionError{text})
}

// versionError marks a snapshot whose version a person must choose.
type versionError struct{ text string }

func (e *versionError) Error() string { return e.text }

// Unwrap returns ErrConfig: a flag settles it.
func (e *versionError) Unwrap() error { return ErrConfig }

// isSnapshot reads the manifest of one version of n, and compares the checksum that the server has computed, if there is one, with the
// manifest's. Another program's zip has no manifest, and so no contents.
func (b *Bucket) isSnapshot(ctx context.Context, o object, n snapshot.Name) (contents, bool, error) {
	tail, size, err := b.tailOf(ctx, o)
	switch {
	case errors.Is(err, snapshot.ErrNotFound) || errors.Is(err, ErrArchived): // expired meanwhile, or not readable now
		return contents{}, false, nil
	case err != nil:
		return contents{}, false, err
	}
	a, err := snapshot.OpenArchive(snapshot.TailReader(tail, size), size)
	if errors.Is(err, snapshot.ErrNoManifest) {
		return contents{}, n.Zip(), nil
	}
	if err != nil {
		return contents{}, false, nil //nolint:nilerr // another version may be one
	}
	c := contents{a.Manifest.ArchiveSHA256, a.Manifest.RawSHA256}
	sum, known := a.CRC32C()
	if !known {
		return c, true, nil
	}
	stored, err := b.stat(ctx, "read the checksum of", o, true)
	if err != nil || len(stored.ChecksumCRC32C) == 0 || strings.Contains(stored.ChecksumCRC32C, "-") { // not every server has it
		return c, true, nil //nolint:nilerr // it is only one more proof
	}
	return c, stored.ChecksumCRC32C == base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)), nil
}
