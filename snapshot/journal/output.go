package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// output is the new database.
type output struct {
	db   *bbolt.DB
	tx   *bbolt.Tx
	held []byte // the values of the transaction; bbolt needs them until its end
	n    int    // entries of the transaction
}

const (
	txBytes   = 4 << 20
	txEntries = 5_000
)

// newOutput begins a database of about this size.
func newOutput(f *os.File, size int64) (*output, error) {
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		NoSync: true, NoFreelistSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType,
		InitialMmapSize: int(size), // growing copies all that a transaction holds
		OpenFile:        func(string, int, fs.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	o := &output{db: db}
	return o, o.bucket(keys)
}

func (o *output) begin() (err error) {
	if o.tx == nil {
		if o.tx, err = o.db.Begin(true); err != nil {
			return fmt.Errorf("write the database: %w", err)
		}
	}
	return nil
}

func (o *output) bucket(name string) error {
	if err := o.begin(); err != nil {
		return err
	}
	if _, err := o.tx.CreateBucketIfNotExists([]byte(name)); err != nil {
		return fmt.Errorf("write the database: %w", err)
	}
	return nil
}

// put adds an entry, in the order of the keys where there are many.
func (o *output) put(bucket string, k, v []byte) error {
	if o.n >= txEntries || len(o.held)+len(v) > txBytes && o.n > 0 {
		if err := o.commit(); err != nil {
			return err
		}
	}
	if err := o.begin(); err != nil {
		return err
	}
	if cap(o.held)-len(o.held) < len(v) {
		o.held = make([]byte, 0, max(txBytes, len(v))) // bbolt keeps the one before
	}
	start := len(o.held)
	o.held = append(o.held, v...)
	b := o.tx.Bucket([]byte(bucket))
	b.FillPercent = 0.95
	o.n++
	if err := b.Put(k, o.held[start:]); err != nil {
		return fmt.Errorf("write the database: %w", err)
	}
	return nil
}

func (o *output) commit() error {
	if o.tx == nil {
		return nil
	}
	err := o.tx.Commit()
	o.tx, o.held, o.n = nil, o.held[:0], 0
	if err != nil {
		return fmt.Errorf("write the database: %w", err)
	}
	return nil
}

// close ends the database. It does not wait for the disk: this file is read once, to make etcd's own of it.
func (o *output) close() error { return errors.Join(o.commit(), o.db.Close()) }
