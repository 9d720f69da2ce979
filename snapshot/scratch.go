package snapshot

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// ScratchPrefix begins the name of a directory in which a drill works (snapshot/drill). List passes over it.
const ScratchPrefix = ".drill-"

// IsTemp tells the names that os.CreateTemp and os.MkdirTemp make of prefix+"*" from others with that beginning: a snapshot's file
// may lie in anybody's directory.
func IsTemp(name, prefix string) bool {
	number, ok := strings.CutPrefix(name, prefix)
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// VerifyInto is Verify for callers that go on with the unpacked database: it lies in db, an empty file on scratch's file
// system, followed by etcd's digest. It closes db, also after an error.
func VerifyInto(ctx context.Context, f, db *os.File, scratch *Dir, minFree int64, progress func(done, total int64)) (r Report, err error) {
	// bbolt closes the file too; a second close is no trouble of the archive's.
	defer db.Close()
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	a, err := OpenArchive(f, info.Size())
	if err != nil {
		return r, err
	}
	r.Manifest, r.Size = a.Manifest, a.Size
	if err := unpack(ctx, a, &spaceGuard{dir: scratch, w: db, minFree: minFree}, progress); err != nil {
		return r, err
	}
	r.Database, err = inspect(ctx, db)
	if err != nil {
		return r, err
	}
	if r.Revision < a.Manifest.Revision {
		return r, fmt.Errorf("%w: the database ends at revision %d, the manifest says %d", ErrDamaged, r.Revision, a.Manifest.Revision)
	}
	return r, nil
}
