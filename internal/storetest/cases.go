package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"etcd-rolling-backup/snapshot"
)

func empty(b bed) {
	b.wantList()
	b.wantMissing(Name(b, snapshot.RollingSet, "a", 0))
	b.wantKeys()
}

// allSizes puts archives with sizes around that of a tail, and the caller's samples.
func (b bed) allSizes(more []Sample) {
	for _, s := range append(Samples(b, snapshot.TailSize-1, snapshot.TailSize, snapshot.TailSize+1, 3*snapshot.TailSize), more...) {
		size := int64(len(s.Data))
		b.must(b.Put(b.Context(), s.Name, bytes.NewReader(s.Data), size))
		b.wantWhole(s.Name, s.Data)
		if entries := b.wantList(s.Name); len(entries) == 1 && entries[0].Size != size {
			b.Errorf("%d bytes are listed as %d", size, entries[0].Size)
		}
		b.must(b.Remove(b.Context(), s.Name))
		b.wantKeys()
	}
}

// order: newest first, then by name, independent of the order of the puts; nodes with a common prefix in their names are not confused.
func order(b bed) {
	want := []snapshot.Name{
		Name(b, snapshot.RollingSet, "b", 30),
		Name(b, snapshot.ManualSet, "a", 2), Name(b, snapshot.RollingSet, "a-b", 2), Name(b, snapshot.RollingSet, "a", 2),
		Name(b, snapshot.RollingSet, "a", 1), Name(b, snapshot.RollingSet, "a-b", 0),
	}
	for _, i := range []int{3, 0, 5, 2, 4, 1} {
		b.put(want[i])
	}
	b.wantList(want...)
	b.must(b.Remove(b.Context(), want[3]))
	b.wantList(slices.Delete(want, 3, 4)...)
}

// foreign: files and objects without a valid snapshot name are skipped and remain.
func foreign(b bed) {
	mine, other := Name(b, snapshot.RollingSet, "a", 0), Name(b, snapshot.RollingSet, "a", 1)
	planted := []string{
		"notes.txt", ".hidden", other.String() + ".part", other.String() + "x", "." + mine.String(), "deeper/" + mine.String(),
		"rolling_a.db.zst", "rolling_a_b_20261121T000000Z.db.zst", "rolling_a_20261121T000000.5Z.db.zst", "rolling_a_20261132T000000Z.db.zst",
		"rolling_a_20261121T000000Z.db.ZST", "__.db.zst",
	}
	for _, key := range planted {
		b.must(b.Plant(b.Context(), key, []byte(key)))
	}
	b.wantList()
	data := b.put(mine)
	b.wantList(mine)
	b.wantWhole(mine, data)
	b.wantKeys(append(planted, mine.String())...)
	b.must(b.Remove(b.Context(), mine))
	b.wantKeys(planted...)
}

func remove(b bed) {
	n, stays := Name(b, snapshot.RollingSet, "a", 0), Name(b, snapshot.RollingSet, "a-b", 0)
	b.put(n)
	data := b.put(stays)
	b.must(b.Remove(b.Context(), n))
	b.wantMissing(n)
	b.wantMissing(n)
	b.wantList(stays)
	b.wantWhole(stays, data)
	b.put(n) // the name is free again
	b.wantList(stays, n)
}

// putAgain: a store may refuse a name that exists, or store the same bytes again.
func putAgain(b bed) {
	n := Name(b, snapshot.RollingSet, "a", 0)
	data := b.put(n)
	if err := b.Put(b.Context(), n, bytes.NewReader(data), int64(len(data))); err != nil && !errors.Is(err, snapshot.ErrExists) {
		b.Errorf("put again: %v", err)
	}
	b.wantWhole(n, data)
	b.wantKeys(n.String())
}

// atOnce puts several archives from several goroutines; meanwhile every listed one must be complete.
func atOnce(b bed) {
	const many = 6
	var names []snapshot.Name
	var datas [][]byte
	for i := range many {
		names = append(names, Name(b, snapshot.RollingSet, fmt.Sprintf("node-%d", i), many-i))
		datas = append(datas, Archive(b, names[i], 2*snapshot.TailSize+i))
	}
	var writers sync.WaitGroup
	failed := make([]error, many)
	for i := range many {
		writers.Go(func() {
			failed[i] = b.Put(b.Context(), names[i], bytes.NewReader(datas[i]), int64(len(datas[i])))
		})
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		entries, err := b.List(b.Context())
		b.must(err)
		for _, e := range entries {
			i := slices.IndexFunc(names, func(n snapshot.Name) bool { return n.String() == e.Name.String() })
			if e.Size != int64(len(datas[i])) {
				b.Errorf("%s is listed with %d bytes of %d", e.Name, e.Size, len(datas[i]))
			}
		}
	}
	b.must(errors.Join(failed...))
	b.wantList(names...)
	for i := range many {
		b.wantWhole(names[i], datas[i])
	}
}
