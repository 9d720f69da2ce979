package input

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"etcd-rolling-backup/snapshot"
)

// Report is what Verify found in an intact file.
type Report struct {
	Form     Form
	Member   string             // zip: the name of the member with the database
	Manifest *snapshot.Manifest // of our archive, otherwise nil
	Size     int64              // of the file, bytes
	RawSize  int64              // of the database and its digest, bytes
	Proven   bool               // there is a digest of etcd, and it matches; otherwise only the pages were checked
	snapshot.Database
}

// Verify reads a snapshot of any form without trusting it, as [snapshot.Verify] does with an archive: what the form can prove, then
// every page, the revision and the keys. Meanwhile the database is in an anonymous temporary file in scratch's file system, which keeps
// minFree bytes free. A damaged file is an error even if its database is intact. Errors are those of Open, Unpack and snapshot.Verify.
func Verify(ctx context.Context, f *os.File, scratch *snapshot.Dir, minFree int64, progress func(done, total int64)) (Report, error) {
	db, err := scratch.Scratch()
	if err != nil {
		return Report{}, err
	}
	return VerifyInto(ctx, f, db, scratch, minFree, progress)
}

// VerifyInto is Verify for callers that need the database. It writes the database, followed by its SHA-256 as etcd writes it, to db,
// an empty file in scratch's file system. It closes db, even after an error.
func VerifyInto(ctx context.Context, f, db *os.File, scratch *snapshot.Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	defer db.Close() // the error of a second close means nothing
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	in, err := Open(f, info.Size())
	if err != nil {
		return r, err
	}
	r = Report{Form: in.Form, Member: in.Member, Manifest: in.Manifest, Size: info.Size(), RawSize: in.Size}
	if in.Manifest != nil {
		a, err := snapshot.Verify(ctx, f, db, scratch, minFree, progress)
		r.Proven, r.Database = true, a.Database
		return r, err
	}
	out := scratch.KeepFree(db, minFree)
	u, err := in.Unpack(ctx, out, Options{Progress: progress, Undigested: true})
	if err == nil {
		err = u.Damage
	}
	if err == nil {
		err = in.verifyOthers(ctx)
	}
	if err != nil {
		return r, err
	}
	digest, err := hex.DecodeString(u.SHA256)
	if err == nil {
		_, err = out.Write(digest)
	}
	if err != nil {
		return r, fmt.Errorf("unpack: %w", err)
	}
	r.Proven, r.RawSize = u.Verified, u.Size+int64(len(digest))
	r.Database, err = snapshot.Inspect(ctx, db)
	return r, err
}
