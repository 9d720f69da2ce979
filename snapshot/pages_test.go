package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

const (
	pageHeader  = 16
	elementSize = 16
)

// pageOf returns the bytes of one page of a database, with its overflow pages.
func pageOf(db []byte, id int) []byte { return db[id*os.Getpagesize():] }

// repairMeta gives both meta pages the checksum that fits them.
func repairMeta(db []byte) {
	for id := range 2 {
		meta := pageOf(db, id)[pageHeader:]
		h := fnv.New64a()
		_, _ = h.Write(meta[:56])
		binary.NativeEndian.PutUint64(meta[56:], h.Sum64())
	}
}

// pageTypes says of each page of a database what bbolt takes it for: "leaf", "branch", "free", ….
func pageTypes(t *testing.T, data []byte) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, data, 0o600))
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	must(t, err)
	defer db.Close()
	var types []string
	must(t, db.View(func(tx *bbolt.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return err
			}
			types = append(types, p.Type)
			for range p.OverflowCount {
				types = append(types, "overflow")
				id++
			}
		}
	}))
	return types
}

// Each way to break a page ends in ErrDamaged, although the digests match. bbolt alone would end the process for most of them.
func TestVerifyFindsBrokenPages(t *testing.T) {
	ne := binary.NativeEndian
	child := func(pgid uint64) func([]byte, uint64) {
		return func(page []byte, _ uint64) { ne.PutUint64(page[pageHeader+8:], pgid) }
	}
	both := map[string]func(page []byte, id uint64){
		"another number":     func(page []byte, id uint64) { ne.PutUint64(page, id+1) },
		"no type":            func(page []byte, _ uint64) { ne.PutUint16(page[8:], 0) },
		"two types":          func(page []byte, _ uint64) { ne.PutUint16(page[8:], 3) },
		"the type meta":      func(page []byte, _ uint64) { ne.PutUint16(page[8:], 4) },
		"the type free list": func(page []byte, _ uint64) { ne.PutUint16(page[8:], 16) },
		"too many elements":  func(page []byte, _ uint64) { ne.PutUint16(page[10:], math.MaxUint16) },
		"too many pages":     func(page []byte, _ uint64) { ne.PutUint32(page[12:], math.MaxUint32) },
		"keys out of order":  func(page []byte, _ uint64) { clear(lastKey(page)[:8]) },
	}
	leaf := map[string]func(page []byte, id uint64){
		"a far key":     func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader+4:], math.MaxUint32) },
		"a long key":    func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader+8:], math.MaxUint32) },
		"a long value":  func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader+12:], math.MaxUint32) },
		"unknown flags": func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader:], 2) },
	}
	branch := map[string]func(page []byte, id uint64){
		"no elements":       func(page []byte, _ uint64) { ne.PutUint16(page[10:], 0) },
		"a far key":         func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader:], math.MaxUint32) },
		"a long key":        func(page []byte, _ uint64) { ne.PutUint32(page[pageHeader+4:], math.MaxUint32) },
		"itself as child":   func(page []byte, id uint64) { child(id)(page, id) },
		"a meta page below": child(1),
		"a child beyond":    child(1 << 20),
		"a child far away":  child(1 << 40),
		"the last child":    child(math.MaxUint64),
		"the same child twice": func(page []byte, _ uint64) {
			copy(page[pageHeader+elementSize+8:][:8], page[pageHeader+8:])
		},
	}
	db := etcdDatabase(t, 150)
	b := newBench(t)
	met := map[string]int{}
	for id, kind := range pageTypes(t, db) {
		met[kind]++
		for _, breaks := range map[string][]map[string]func([]byte, uint64){"leaf": {both, leaf}, "branch": {both, branch}}[kind] {
			for name, breakPage := range breaks {
				broken := bytes.Clone(db)
				breakPage(pageOf(broken, id), uint64(id))
				if ne.Uint16(pageOf(db, id)[10:]) < 2 && name == "keys out of order" {
					continue // a single key is always in order
				}
				mustBeDamaged(t, b, archive(t, withDigest(broken), manifestA(151)), "%s page %d with %s", kind, id, name)
			}
		}
	}
	if met["leaf"] < 10 || met["branch"] < 1 || met["free"] < 1 {
		t.Errorf("the database has too few pages of a kind: %v", met)
	}
}

// lastKey gives the key of a page's last element.
func lastKey(page []byte) []byte {
	ne := binary.NativeEndian
	at := pageHeader + (int(ne.Uint16(page[10:]))-1)*elementSize
	position := at
	if ne.Uint16(page[8:]) == 1 {
		position += int(ne.Uint32(page[at:]))
	} else {
		position += int(ne.Uint32(page[at+4:]))
	}
	return page[position:]
}

// A meta page with a correct checksum can contain wrong values too.
func TestVerifyFindsBrokenMeta(t *testing.T) {
	db := etcdDatabase(t, 50)
	b := newBench(t)
	for name, c := range map[string]struct {
		offset int
		value  uint64
	}{
		"no page size": {8, 0}, "a tiny page size": {8, 16}, "a huge page size": {8, 1 << 31},
		"no root": {16, 0}, "a meta page as root": {16, 1}, "a far root": {16, 1 << 50}, "the last root": {16, math.MaxUint64},
		"a meta page as free list": {32, 0}, "a leaf as free list": {32, 4}, "a far free list": {32, 1 << 50},
		"no pages": {40, 0}, "more pages than there are": {40, uint64(len(db)/os.Getpagesize()) + 1},
		"far more pages": {40, 1 << 50}, "the most pages": {40, math.MaxUint64},
	} {
		broken := bytes.Clone(db)
		for id := range 2 {
			at := pageOf(broken, id)[pageHeader+c.offset:]
			if c.offset == 8 {
				binary.NativeEndian.PutUint32(at, uint32(c.value))
			} else {
				binary.NativeEndian.PutUint64(at, c.value)
			}
		}
		repairMeta(broken)
		mustBeDamaged(t, b, archive(t, withDigest(broken), manifestA(1)), "%s", name)
	}
	for name, offset := range map[string]int{"magic": 0, "version": 4, "checksum": 56} {
		broken := bytes.Clone(db)
		for id := range 2 {
			pageOf(broken, id)[pageHeader+offset]++
		}
		mustBeDamaged(t, b, archive(t, withDigest(broken), manifestA(1)), "another %s", name)
	}
}

// A free list with wrong values is detected if the database has one.
func TestVerifyFindsBrokenFreelist(t *testing.T) {
	db := database(t, &bbolt.Options{NoSync: true}, etcdBuckets)
	b := newBench(t)
	for id, kind := range pageTypes(t, db) {
		if kind != "freelist" {
			continue
		}
		for name, count := range map[string][]byte{
			"too many": {0xfe, 0xff}, "no length": {0xff, 0xff},
		} {
			broken := bytes.Clone(db)
			copy(pageOf(broken, id)[10:], count)
			copy(pageOf(broken, id)[pageHeader:], bytes.Repeat([]byte{0x7f}, 8))
			mustBeDamaged(t, b, archive(t, withDigest(broken), manifestA(1)), "free list with %s", name)
		}
		for name, free := range map[string]uint64{"a used page": 4, "itself": uint64(id), "a meta page": 1, "no page": 1 << 40} {
			broken := bytes.Clone(db)
			binary.NativeEndian.PutUint64(pageOf(broken, id)[pageHeader:], free)
			mustBeDamaged(t, b, archive(t, withDigest(broken), manifestA(1)), "free list with %s", name)
		}
		return
	}
	t.Error("the database has no free list")
}

// bombs are valid for bbolt, and take it more time or stack than any machine has.
func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	leaf := func(elements int) []byte {
		page := make([]byte, pageHeader)
		binary.NativeEndian.PutUint16(page[8:], 2)
		binary.NativeEndian.PutUint16(page[10:], uint16(elements))
		return page
	}
	element := func(position, key, value int) []byte {
		e := make([]byte, elementSize)
		for i, x := range []int{1, position, key, value} { // 1: a bucket
			binary.NativeEndian.PutUint32(e[4*i:], uint32(x))
		}
		return e
	}
	nested := leaf(0)
	for range 2000 {
		nested = slices.Concat(leaf(1), element(elementSize, 1, 16+len(nested)), []byte("k"), make([]byte, 16), nested)
	}
	// Each level has two buckets with the same bytes: 2^60 of them in some kilobytes.
	twice := leaf(0)
	for range 60 {
		value := append(make([]byte, 16), twice...)
		twice = slices.Concat(leaf(2), element(2*elementSize+1, 1, len(value)), element(elementSize+2, 1, len(value)-1), []byte("ab"), value)
	}
	out := map[string][]byte{}
	for name, inside := range map[string][]byte{"nested buckets": nested, "buckets that overlap": twice} {
		data := database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("lease")).Put([]byte("a"), append(make([]byte, 16), inside...))
		})
		// bbolt writes the value as a plain one.
		at := bytes.Index(data, append([]byte("a"), append(make([]byte, 16), inside[:64]...)...))
		binary.NativeEndian.PutUint32(data[at-elementSize:], 1)
		out[name] = data
	}
	return out
}

func TestVerifyOfNestedBucketsEnds(t *testing.T) {
	b := newBench(t)
	for name, db := range bombs(t) {
		mustBeDamaged(t, b, archive(t, withDigest(db), manifestA(1)), "%s", name)
	}
}

// Whatever byte of the pages is wrong, Verify reports it or can read everything. It never ends the process.
func TestVerifySurvivesAnyPages(t *testing.T) {
	r, b := random(t), newBench(t)
	db := etcdDatabase(t, 150)
	for range 300 {
		broken := bytes.Clone(db)
		at := r.IntN(len(db))
		if r.IntN(2) == 0 { // the headers are where it hurts
			at = at/os.Getpagesize()*os.Getpagesize() + r.IntN(128)
		}
		broken[at] ^= byte(1 + r.IntN(255))
		_, err := b.verify(t.Context(), archive(t, withDigest(broken), manifestA(1)))
		if err != nil && !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("byte %d of %d is %#x and not %#x: %v, want a report or ErrDamaged", at, len(db), broken[at], db[at], err)
		}
	}
}
