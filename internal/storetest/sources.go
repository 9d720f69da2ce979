package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"etcd-rolling-backup/snapshot"
)

// wrongSize: the announced size is not the archive's. If the source has further bytes, a store may store those that were announced.
func wrongSize(b bed) {
	n := Name(b, snapshot.RollingSet, "a", 0)
	data := Archive(b, n, 2*snapshot.TailSize)
	longer := append(bytes.Clone(data), "and more"...)
	for _, c := range []struct {
		what   string
		source []byte
		size   int
		want   []error // none: any
	}{
		{"shorter than announced", data[:len(data)-1], len(data), nil},
		{"half of what was announced", data[:len(data)/2], len(data), nil},
		{"nothing", nil, len(data), nil},
		{"nothing, announced so", nil, 0, []error{snapshot.ErrDamaged}},
		{"cut and announced so", data[:len(data)-1], len(data) - 1, []error{snapshot.ErrDamaged}},
		{"announced without its end", data, len(data) - 1, []error{snapshot.ErrDamaged}},
		{"announced with what follows", longer, len(longer), []error{snapshot.ErrDamaged}},
		{"longer than announced", longer, len(data), []error{snapshot.ErrDamaged}},
	} {
		err := b.Put(b.Context(), n, bytes.NewReader(c.source), int64(c.size))
		if err == nil && len(c.source) <= len(data) {
			b.Fatalf("%s: taken", c.what)
		}
		b.allOrNothing(c.what, n, data, err, c.want...)
	}
}

// damaged: with one changed bit anywhere, nothing is stored.
func damaged(b bed) {
	n := Name(b, snapshot.RollingSet, "a", 0)
	data := Archive(b, n, 2*snapshot.TailSize)
	for _, at := range []int{0, 1000, len(data) / 2, len(data) - 600, len(data) - 1} {
		altered := bytes.Clone(data)
		altered[at] ^= 1
		err := b.Put(b.Context(), n, bytes.NewReader(altered), int64(len(altered)))
		if err == nil {
			b.Fatalf("taken with byte %d altered", at)
		}
		b.allOrNothing(fmt.Sprintf("byte %d altered", at), n, data, err, snapshot.ErrDamaged)
	}
}

// A store reads an archive at most this often from beginning to end: to verify it, for a checksum, and to send it.
const passes = 3

var errDisk = errors.New("input/output error")

// brokenSource: whenever the source fails, Put returns the source's error.
func brokenSource(b bed) {
	n := Name(b, snapshot.RollingSet, "a", 0)
	data := Archive(b, n, 5*snapshot.TailSize)
	for i := range 2*passes + 2 {
		source := &limited{r: bytes.NewReader(data), then: func() error { return errDisk }}
		source.left.Store(int64(i * len(data) / 2))
		err := b.Put(b.Context(), n, source, int64(len(data)))
		if err == nil && i < 2 {
			b.Fatalf("taken, and %d of %d bytes could be read", i*len(data)/2, len(data))
		}
		b.allOrNothing(fmt.Sprintf("after %d halves", i), n, data, err, errDisk)
	}
}

// canceled: if the context is canceled before or during a call, the call returns that error and changes nothing.
func canceled(b bed) {
	n, there := Name(b, snapshot.RollingSet, "a", 0), Name(b, snapshot.RollingSet, "a", 1)
	data := Archive(b, n, 5*snapshot.TailSize)
	for i := range 2*passes + 2 {
		ctx, cancel := context.WithCancel(b.Context())
		source := &limited{r: bytes.NewReader(data), then: func() error {
			cancel()
			return ctx.Err()
		}}
		source.left.Store(int64(i * len(data) / 2))
		b.allOrNothing(fmt.Sprintf("after %d halves", i), n, data, b.Put(ctx, n, source, int64(len(data))), context.Canceled)
		cancel()
	}
	stays := b.put(there)
	ended, cancel := context.WithCancel(b.Context())
	cancel()
	if err := b.Put(ended, n, bytes.NewReader(data), int64(len(data))); !errors.Is(err, context.Canceled) {
		b.Errorf("put: %v, not %v", err, context.Canceled)
	}
	if err := b.Remove(ended, there); !errors.Is(err, context.Canceled) {
		b.Errorf("remove: %v, not %v", err, context.Canceled)
	}
	b.wantList(there)
	b.wantWhole(there, stays)
}

// limited returns a limited number of bytes in total, over all reads and goroutines, and then calls then.
type limited struct {
	r    io.ReaderAt
	left atomic.Int64
	then func() error
}

func (l *limited) ReadAt(p []byte, at int64) (int, error) {
	n, err := l.r.ReadAt(p, at)
	if l.left.Add(-int64(n)) < 0 {
		return 0, l.then()
	}
	return n, err
}
