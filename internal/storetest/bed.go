package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// small is the size of the archives that put makes.
const small = 20 << 10

// bed is a store under test.
type bed struct {
	*testing.T
	Store
}

func (b bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// put stores a new small archive of the name and returns its bytes.
func (b bed) put(n snapshot.Name) []byte {
	b.Helper()
	data := Archive(b, n, small)
	b.must(b.Put(b.Context(), n, bytes.NewReader(data), int64(len(data))))
	return data
}

// wantWhole checks that Get and Tail return the bytes that were put.
func (b bed) wantWhole(n snapshot.Name, data []byte) {
	b.Helper()
	r, size, err := b.Get(b.Context(), n)
	b.must(err)
	defer r.Close()
	got, err := io.ReadAll(r)
	b.must(err)
	if size != int64(len(data)) || !bytes.Equal(got, data) {
		b.Errorf("get %s: %d bytes of %d announced, not the %d that were put", n, len(got), size, len(data))
	}
	tail, size, err := b.Tail(b.Context(), n)
	b.must(err)
	if size != int64(len(data)) || !bytes.Equal(tail, data[max(0, len(data)-snapshot.TailSize):]) {
		b.Errorf("tail of %s: %d bytes of %d, not the end of the %d that were put", n, len(tail), size, len(data))
	}
	if m, _, err := snapshot.DecodeTail(tail, size); err != nil || m.Name != n.String() {
		b.Errorf("the manifest of %s names %q: %v", n, m.Name, err)
	}
}

// wantList checks that List returns these names in this order.
func (b bed) wantList(want ...snapshot.Name) []snapshot.Entry {
	b.Helper()
	entries, err := b.List(b.Context())
	b.must(err)
	if !slices.EqualFunc(entries, want, func(e snapshot.Entry, n snapshot.Name) bool { return e.Name.String() == n.String() }) {
		b.Errorf("list: %v, not %v", entries, want)
	}
	return entries
}

// wantKeys checks that there are no other files or objects, such as a partial snapshot.
func (b bed) wantKeys(want ...string) {
	b.Helper()
	got, err := b.Keys(b.Context())
	b.must(err)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		b.Errorf("there are %q, not %q", got, want)
	}
}

func (b bed) wantMissing(n snapshot.Name) {
	b.Helper()
	r, _, err := b.Get(b.Context(), n)
	if err == nil {
		_ = r.Close() // the test has failed
	}
	if !errors.Is(err, snapshot.ErrNotFound) {
		b.Errorf("get %s: %v, not %v", n, err, snapshot.ErrNotFound)
	}
	if _, _, err := b.Tail(b.Context(), n); !errors.Is(err, snapshot.ErrNotFound) {
		b.Errorf("tail of %s: %v, not %v", n, err, snapshot.ErrNotFound)
	}
	if err := b.Remove(b.Context(), n); !errors.Is(err, snapshot.ErrNotFound) {
		b.Errorf("remove %s: %v, not %v", n, err, snapshot.ErrNotFound)
	}
}

// allOrNothing checks that a failed put left nothing and returned one of the errors, and that a successful one stored everything.
func (b bed) allOrNothing(what string, n snapshot.Name, data []byte, err error, want ...error) {
	b.Helper()
	if err == nil {
		b.wantWhole(n, data)
		b.must(b.Remove(b.Context(), n))
		return
	}
	if len(want) > 0 && !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		b.Errorf("%s: %v, not %v", what, err, want)
	}
	b.wantMissing(n)
	b.wantList()
	b.wantKeys()
}
