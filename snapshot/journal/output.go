package journal

import (
	"fmt"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// output puts new entries into the bucket "key". One goroutine writes them, while the caller reads what comes next.
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

type put struct{ key, value []byte }

const (
	batchBytes = 4 << 20
	batchPuts  = 5_000
	batches    = 3 // one is filled, one waits, and one is written
)

// newOutput begins to write. The caller closes it.
func newOutput(db *bbolt.DB) *output {
	o := &output{db: db, next: &batch{}, full: make(chan *batch, batches), free: make(chan *batch, batches), ended: make(chan struct{})}
	for range batches - 1 {
		o.free <- &batch{}
	}
	go o.run()
	return o
}

// put adds an entry, in the order of the keys. It copies both. Its error may be that of an entry before.
func (o *output) put(k, v []byte) error {
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
	b.puts = append(b.puts, put{b.hold(k), b.hold(v)})
	return nil
}

func (b *batch) hold(p []byte) []byte {
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
			o.err = writing(o.err)
			return
		}
		clear(b.puts)
		b.puts, b.held = b.puts[:0], b.held[:0]
		o.free <- b
	}
}

func writing(err error) error { return fmt.Errorf("write the database: %w", err) }

func (b *batch) write(tx *bbolt.Tx) error {
	in := tx.Bucket([]byte(keys))
	in.FillPercent = 0.95
	for _, p := range b.puts {
		if err := in.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// close writes the rest.
func (o *output) close() error {
	select {
	case <-o.ended:
	default:
		o.full <- o.next
		close(o.full)
		<-o.ended
	}
	return o.err
}
