package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// output is the new database. One goroutine writes it, while the caller reads what comes next.
type output struct {
	db    *bbolt.DB
	next  *batch
	full  chan *batch
	free  chan *batch
	ended chan struct{} // the goroutine has
	err   error         // of the goroutine, when it has ended
}

// batch is what one transaction puts. bbolt needs the values until its end.
type batch struct {
	puts []put
	held []byte // keys and values
}

type put struct {
	bucket     string
	key, value []byte // key nil: the bucket alone
}

const (
	batchBytes = 4 << 20
	batchPuts  = 5_000
	batches    = 3 // one is filled, one waits, and one is written
)

// newOutput begins a database of about this size. The caller closes it.
func newOutput(f *os.File, size int64) (*output, error) {
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		NoSync: true, NoFreelistSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType,
		InitialMmapSize: int(size), // growing copies all that a transaction holds
		OpenFile:        func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	o := &output{db: db, next: &batch{puts: []put{{bucket: keys}}}, full: make(chan *batch, batches), free: make(chan *batch, batches), ended: make(chan struct{})}
	for range batches - 1 {
		o.free <- &batch{}
	}
	go o.run()
	return o, nil
}

// bucket makes a bucket, unless there is one.
func (o *output) bucket(name string) error { return o.put(name, nil, nil) }

// put adds an entry, in the order of the keys where there are many. It copies both. Its error may be that of an entry before.
func (o *output) put(bucket string, k, v []byte) error {
	b := o.next
	if size := len(b.held) + len(k) + len(v); len(b.puts) >= batchPuts || size > batchBytes && len(b.puts) > 0 {
		if err := o.flush(); err != nil {
			return err
		}
		b = o.next
	}
	if need := len(b.held) + len(k) + len(v); need > cap(b.held) { // of an empty batch: nothing refers to it
		b.held = make([]byte, 0, max(batchBytes, need))
	}
	b.puts = append(b.puts, put{bucket, b.hold(k), b.hold(v)})
	return nil
}

func (b *batch) hold(p []byte) []byte {
	if p == nil {
		return nil
	}
	start := len(b.held)
	b.held = append(b.held, p...)
	return b.held[start:]
}

// flush gives the batch to the goroutine, and takes an empty one.
func (o *output) flush() error {
	select {
	case o.full <- o.next:
	case <-o.ended:
		return o.err
	}
	select {
	case o.next = <-o.free:
		return nil
	case <-o.ended:
		return o.err
	}
}

func (o *output) run() {
	defer close(o.ended)
	for b := range o.full {
		if o.err = snapshot.Guard(func() error { return o.db.Update(b.write) }); o.err != nil {
			o.err = fmt.Errorf("write the database: %w", o.err)
			return
		}
		clear(b.puts)
		b.puts, b.held = b.puts[:0], b.held[:0]
		o.free <- b
	}
}

func (b *batch) write(tx *bbolt.Tx) error {
	for _, p := range b.puts {
		in, err := tx.CreateBucketIfNotExists([]byte(p.bucket))
		if err == nil && p.key != nil {
			in.FillPercent = 0.95
			err = in.Put(p.key, p.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// close writes the rest and ends the database. It does not wait for the disk: this file is read once, to make etcd's own of it.
func (o *output) close() error {
	select {
	case <-o.ended:
	default:
		o.full <- o.next
		close(o.full)
		<-o.ended
	}
	if o.err == nil { // so that who opens it to write need not look for free pages in all of it
		o.db.NoFreelistSync = false
		o.err = snapshot.Guard(func() error { return o.db.Update(func(*bbolt.Tx) error { return nil }) })
	}
	return errors.Join(o.err, o.db.Close())
}
