package s3

import (
	"context"
	"io"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Hasten shortens the rests between tries, which are the same otherwise.
func (b *Bucket) Hasten() { b.backoff = 20 * time.Millisecond }

// ListAtMost sets how many snapshots a bucket may have.
func (b *Bucket) ListAtMost(n int) { b.maxEntries = n }

// Put stores any bytes, as PutArchive does with archives, but for the proof.
func (b *Bucket) Put(ctx context.Context, n snapshot.Name, r io.ReaderAt, size int64, progress func(done, total int64)) error {
	u := b.upload(b.objectOf(n), r, size)
	u.replace = true
	if progress != nil {
		u.progress = progress
	}
	return u.run(ctx)
}

// Skew is how far this clock was ahead of the server's.
func (b *Bucket) Skew() time.Duration {
	skew, _ := b.transport.clock()
	return skew
}

// Transient tells whether a call is made again at once.
func Transient(err error) bool { return transient(err) }

// Split tells how many parts an object has, and how large they are but the last.
func Split(size int64) (parts int, each, last int64) {
	p := split(size)
	return len(p), p[0].size, p[len(p)-1].size
}

// ClassOf is the class of an error as a call returns it.
func ClassOf(err error) string { return Class(&callError{kind: classify(err)}) }

// AllowClockDifference sets how much earlier than the time in its name a snapshot may seem to be stored.
func (b *Bucket) AllowClockDifference(d time.Duration) { b.clockDifference = d }
