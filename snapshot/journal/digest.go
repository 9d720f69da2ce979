package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// maxHeld is how many bytes of a revision wait until somebody asks for its digest. Of all revisions of a segment that is only the last one, so hashing
// each would be for nothing.
const maxHeld = 64 << 10

// digest is that of one revision: its events in order, as records.
type digest struct {
	revision int64
	held     []byte
	sum      hash.Hash // of what came before held; nil: nothing
}

// add takes the next event.
func (d *digest) add(r Record) {
	if r.Revision != d.revision {
		d.revision, d.held, d.sum = r.Revision, d.held[:0], nil
	}
	d.held = Record{Kind: r.Kind, Revision: r.Revision, Data: r.Data}.append(d.held)
	if len(d.held) > maxHeld {
		d.hash()
	}
}

func (d *digest) hash() {
	if d.sum == nil {
		d.sum = sha256.New()
	}
	d.sum.Write(d.held)
	d.held = d.held[:0]
}

// String returns it in hexadecimal; "" without events.
func (d *digest) String() string {
	if d.revision == 0 {
		return ""
	}
	d.hash()
	return hex.EncodeToString(d.sum.Sum(nil))
}
