package rketools

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// The raw database, /backup/NAME: RKE compares its MD5 between the hosts and gives it to etcdctl snapshot restore, on the host of serve too.
// So it must end with etcd's digest, and only a database that matches its digest gets that name.

// zipSuffix ends the name of an archive. RKE's names of snapshots do not have it.
const zipSuffix = ".zip"

// longestName leaves room for the hidden partial name of the archive in the 255 bytes of a file name.
const longestName = 255 - len("."+zipSuffix+".part")

// checkName accepts what can be the name of a snapshot in /backup: one file name, not hidden, without the suffix of the archive.
func checkName(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	stem, zipped := strings.CutSuffix(name, zipSuffix)
	switch {
	case name == "":
		return fmt.Errorf("%w: snapshot name is required: set --name", snapshot.ErrName)
	case strings.ContainsAny(name, `/\`), strings.HasPrefix(name, "."), strings.ContainsFunc(name, unprintable), len(name) > longestName:
		return fmt.Errorf("%w: %q is not the name of a file that can be in /backup", snapshot.ErrName, name)
	case zipped:
		return fmt.Errorf("%w: %q is the file of an archive: the name of the snapshot is %q", snapshot.ErrName, name, stem)
	}
	return nil
}

// opened is an open file and what is in it.
type opened struct {
	*os.File
	in *input.Input
}

// open detects what a file of dir is. It reads little of it.
func open(dir *snapshot.Dir, base string) (opened, error) {
	f, err := dir.Open(base)
	if err != nil {
		return opened{}, err
	}
	in, err := look(f)
	if err != nil {
		return opened{}, errors.Join(fmt.Errorf("%s: %w", f.Name(), err), f.Close())
	}
	return opened{f, in}, nil
}

func look(f *os.File) (*input.Input, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return input.Open(f, info.Size())
}

// prove reads all of a raw database and returns its digest. Errors wrap snapshot.ErrDamaged, input.ErrForm or input.ErrNoDigest.
func prove(ctx context.Context, f *os.File) (digest string, err error) {
	in, err := look(f)
	if err == nil && in.Form != input.FormDatabase {
		err = fmt.Errorf("%w: it is not a database but a %s", input.ErrForm, in.Form)
	}
	if err != nil {
		return "", err
	}
	u, err := in.Unpack(ctx, io.Discard, input.Options{})
	return u.SHA256, explainDigest(err)
}

// explainDigest replaces the hint of a flag that RKE does not have.
func explainDigest(err error) error {
	if errors.Is(err, input.ErrNoDigest) {
		return fmt.Errorf("%w of etcd at its end, so etcdctl snapshot restore refuses it: it was copied from a member's data directory", input.ErrNoDigest)
	}
	return err
}

// unpack writes the database of an archive to /backup/NAME, with etcd's digest, and replaces an existing one only if it is proven.
func unpack(ctx context.Context, dir *snapshot.Dir, name string, in *input.Input, minFree int64) (input.Unpacked, error) {
	r, err := dir.Replace(name)
	if err != nil {
		return input.Unpacked{}, err
	}
	defer r.Close()
	out := dir.KeepFree(r.File, minFree)
	u, err := in.Unpack(ctx, out, input.Options{})
	if err != nil {
		return u, explainDigest(err)
	}
	digest, err := hex.DecodeString(u.SHA256)
	if err == nil {
		_, err = out.Write(digest)
	}
	if err == nil {
		err = r.Commit()
	}
	return u, err
}
