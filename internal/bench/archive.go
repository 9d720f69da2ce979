package main

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"etcd-rolling-backup/snapshot"
)

// archive puts a snapshot of random bytes into a new store: they do not compress, so the archive has a known size.
func archive(ctx context.Context, dir, bytes string) error {
	n, err := strconv.ParseInt(bytes, 10, 64)
	if err != nil {
		return err
	}
	store := snapshot.NewDir(dir)
	if err := store.Prepare(); err != nil {
		return err
	}
	_, err = snapshot.Take(ctx, noise(n), store, snapshot.TakeOptions{Set: snapshot.ManualSet, Node: node, ToolVersion: "bench", Stall: time.Minute})
	return err
}

// noise is a member whose database is this number of random bytes.
type noise int64

func (noise) Source() snapshot.Source { return snapshot.Source{} }

func (n noise) Stream(_ context.Context, w io.Writer, size func(int64)) error {
	database := int64(n) &^ 511 // a bbolt file has full sectors
	size(database + sha256.Size)
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w, sum), rand.NewChaCha8([32]byte{}), database); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}
