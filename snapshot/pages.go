package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The layout of a bbolt file (go.etcd.io/bbolt, internal/common: page.go, meta.go, bucket.go, inode.go), in bytes:
//
//	page     id 8, flags 2, count 2, number of overflow pages 4; then count elements, then keys and values
//	branch   position 4, key length 4, child 8; a position counts from the element's own start
//	leaf     flags 4, position 4, key length 4, value length 4
//	bucket   root 8, sequence 8; if root is 0, its only page follows, inside the value
//	meta     page, magic 4, version 4, page size 4, flags 4, root bucket 16, free list 8, limit 8, txid 8, checksum 8
const (
	pageHeader   = 16
	elementSize  = 16
	bucketHeader = 16

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	noFreelist = math.MaxUint64 // no free list on the disk, as in etcd's databases

	// maxDepth limits how deep pages and buckets are nested. A tree of etcd's has less than ten levels, and none of its buckets is in
	// another one. bbolt recurses without a limit.
	maxDepth = 64
)

// pages verifies the structure of a database, with bounds on every step. bbolt trusts each page number and length that it reads:
// a broken one makes the whole process exit, from a goroutine that no recover reaches. bbolt's own check gets only what has
// passed here, and then finds nothing that it could not survive.
type pages struct {
	data  []byte // the whole file
	size  uint64 // of a page, bytes
	limit uint64 // the first page number that is not in use
	seen  []bool // by page number
	depth int    // of the element that is being read
}

// VerifyPages checks all pages of the database in f that tx, a transaction on it, can reach. Time and memory are bounded by the size
// of the file. Its errors wrap ErrDamaged, or come from the disk or ctx.
func VerifyPages(ctx context.Context, f *os.File, tx *bbolt.Tx) (err error) {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the database: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Munmap(data)) }()
	p := &pages{data: data, size: uint64(tx.DB().Info().PageSize)} //nolint:gosec // bbolt took it from 4 bytes
	root := uint64(tx.Cursor().Bucket().Root())
	freelist, err := p.meta(uint64(tx.ID()), root) //nolint:gosec // bbolt's own type is unsigned
	if err != nil {
		return err
	}
	if err := p.tree(ctx, root, nil, nil); err != nil {
		return err
	}
	if freelist == noFreelist {
		return nil
	}
	return p.freelist(freelist)
}

// meta finds the meta page that bbolt chose, reads the limit from it and returns the page of the free list.
func (p *pages) meta(txid, root uint64) (freelist uint64, err error) {
	ne := binary.NativeEndian
	for id, start := range []uint64{0, p.size} {
		if self, flags := ne.Uint64(p.data[start:]), ne.Uint16(p.data[start+8:]); self != uint64(id) || flags != metaPage {
			return 0, fmt.Errorf("%w: page %d is not a meta page: it claims to be page %d, with flags %#x", ErrDamaged, id, self, flags)
		}
	}
	for _, start := range []uint64{0, p.size} {
		meta := p.data[start+pageHeader:]
		if ne.Uint64(meta[48:]) != txid || ne.Uint64(meta[16:]) != root {
			continue
		}
		p.limit = ne.Uint64(meta[40:])
		if p.limit > uint64(len(p.data))/p.size {
			return 0, fmt.Errorf("%w: %d pages of %d bytes are in use, the database has %d bytes", ErrDamaged, p.limit, p.size, len(p.data))
		}
		p.seen = make([]bool, p.limit)
		return ne.Uint64(meta[32:]), nil
	}
	return 0, fmt.Errorf("%w: no meta page of transaction %d", ErrDamaged, txid)
}

// freelist checks the list of the free pages, after all pages in use were seen: bbolt would write new data to each page in it.
func (p *pages) freelist(id uint64) error {
	page, err := p.page(id)
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	count, entries := uint64(ne.Uint16(page[10:])), page[pageHeader:]
	if count == math.MaxUint16 { // the first entry is the number of entries that follow
		count, entries = ne.Uint64(entries), entries[8:]
	}
	if ne.Uint16(page[8:]) != freelistPage || count > uint64(len(entries))/8 {
		return fmt.Errorf("%w: page %d is not a free list of %d pages", ErrDamaged, id, count)
	}
	for ; count > 0; count, entries = count-1, entries[8:] {
		free := ne.Uint64(entries)
		if free < 2 || free >= p.limit || p.seen[free] {
			return fmt.Errorf("%w: the free list contains page %d, which is not free", ErrDamaged, free)
		}
		p.seen[free] = true
	}
	for id := uint64(2); id < p.limit; id++ {
		if !p.seen[id] {
			return fmt.Errorf("%w: page %d is neither in use nor in the free list", ErrDamaged, id)
		}
	}
	return nil
}

// tree checks a page and all pages below it: each page is used only once, and each key is at least low and less than high.
func (p *pages) tree(ctx context.Context, id uint64, low, high []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	page, err := p.page(id)
	if err != nil {
		return err
	}
	return onPage(id, p.elements(ctx, page, low, high))
}

// pageError names the page on which a fault is, and not all those above it.
type pageError struct {
	page uint64
	err  error
}

func (e *pageError) Error() string { return fmt.Sprintf("page %d: %v", e.page, e.err) }
func (e *pageError) Unwrap() error { return e.err }

func onPage(id uint64, err error) error {
	if _, named := errors.AsType[*pageError](err); named || err == nil {
		return err
	}
	return &pageError{id, err}
}

// page returns a page and its overflow pages.
func (p *pages) page(id uint64) ([]byte, error) {
	if id < 2 || id >= p.limit {
		return nil, fmt.Errorf("%w: page number %d is not between 2 and %d", ErrDamaged, id, p.limit-1)
	}
	start := p.data[id*p.size:]
	more := uint64(binary.NativeEndian.Uint32(start[12:]))
	if self := binary.NativeEndian.Uint64(start); self != id || more >= p.limit-id {
		return nil, fmt.Errorf("%w: page %d claims to be page %d, with %d more", ErrDamaged, id, self, more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i] {
			return nil, fmt.Errorf("%w: page %d is used twice", ErrDamaged, i)
		}
		p.seen[i] = true
	}
	return start[:(more+1)*p.size], nil
}

// elements checks what is in a page. bbolt writes keys and values one after the other, so no byte belongs to two elements: otherwise
// a small file could contain any number of buckets.
func (p *pages) elements(ctx context.Context, page, low, high []byte) error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("%w: pages and buckets are nested more than %d deep", ErrDamaged, maxDepth)
	}
	defer func() { p.depth-- }()
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	leaf, branch := flags == leafPage, flags == branchPage && count > 0
	if !leaf && !branch || pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("%w: not a tree page: flags %#x, %d elements in %d bytes", ErrDamaged, flags, count, len(page))
	}
	var before element
	end := uint64(pageHeader + count*elementSize)
	for i := range count {
		e, err := elementAt(page, i, leaf)
		if err != nil {
			return err
		}
		if e.start < end {
			return fmt.Errorf("%w: element %d overlaps another one", ErrDamaged, i)
		}
		end = e.start + uint64(len(e.key)+len(e.value))
		if i == 0 && bytes.Compare(e.key, low) < 0 || i > 0 && bytes.Compare(e.key, before.key) <= 0 ||
			high != nil && bytes.Compare(e.key, high) >= 0 {
			return fmt.Errorf("%w: key %x is out of order", ErrDamaged, e.key)
		}
		// A child ends where the next one begins.
		if branch && i > 0 {
			if err := p.tree(ctx, before.child, before.key, e.key); err != nil {
				return err
			}
		}
		if e.bucket {
			if err := p.bucket(ctx, e.value); err != nil {
				return err
			}
		}
		before = e
	}
	if branch {
		return p.tree(ctx, before.child, before.key, high)
	}
	return nil
}

func (p *pages) bucket(ctx context.Context, value []byte) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("%w: its header has %d bytes", ErrDamaged, len(value))
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return p.tree(ctx, root, nil, nil)
	}
	page := value[bucketHeader:]
	if len(page) < pageHeader || binary.NativeEndian.Uint16(page[8:]) != leafPage {
		return fmt.Errorf("%w: no page inside it", ErrDamaged)
	}
	return p.elements(ctx, page, nil, nil)
}

type element struct {
	key, value []byte
	start      uint64 // of the key, in the page
	child      uint64 // of a branch
	bucket     bool   // of a leaf: the value is a bucket
}

// elementAt reads one of a page's elements. The caller has checked that its header is within the page.
func elementAt(page []byte, i int, leaf bool) (element, error) {
	ne := binary.NativeEndian
	b := page[pageHeader+i*elementSize:]
	e := element{}
	var position, keyLen, valueLen uint64
	if leaf {
		position, keyLen, valueLen = uint64(ne.Uint32(b[4:])), uint64(ne.Uint32(b[8:])), uint64(ne.Uint32(b[12:]))
		flags := ne.Uint32(b)
		if flags > 1 {
			return e, fmt.Errorf("%w: element %d has unknown flags %#x", ErrDamaged, i, flags)
		}
		e.bucket = flags == 1
	} else {
		position, keyLen, e.child = uint64(ne.Uint32(b)), uint64(ne.Uint32(b[4:])), ne.Uint64(b[8:])
	}
	if position+keyLen+valueLen > uint64(len(b)) {
		return e, fmt.Errorf("%w: element %d extends beyond its page", ErrDamaged, i)
	}
	e.start = uint64(pageHeader+i*elementSize) + position //nolint:gosec // both fit in 4 bytes
	e.key, e.value = b[position:position+keyLen], b[position+keyLen:position+keyLen+valueLen]
	return e, nil
}
