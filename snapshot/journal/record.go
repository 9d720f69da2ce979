package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind says what a record is. The letters are a part of the format.
type Kind byte

// The kinds of records.
const (
	KindHeader     Kind = 'h' // the first record, JSON
	KindPut        Kind = 'p' // revision, then the mvccpb.KeyValue
	KindDelete     Kind = 'd' // revision, then the key
	KindLease      Kind = 'l' // ID and TTL in seconds
	KindCompaction Kind = 'c' // revision
	KindCheckpoint Kind = 'k' // last revision, time in nanoseconds since 1970, flag, digest
)

const (
	recordHeader   = 1 + 4
	numberLen      = 8
	digestLen      = 8 // of a checkpoint
	checkpointLen  = 2*numberLen + 1 + digestLen
	longestPayload = 64 << 20 // far more than one value that etcd takes
)

// Record is one record of a segment.
type Record struct {
	Kind     Kind
	Revision int64  // of an event, a compaction or a checkpoint
	Data     []byte // the KeyValue of a put, or the key of a delete; valid until the next record is read
	Lease    int64
	TTL      int64 // of the lease, seconds
	// At is when the revisions since the checkpoint before this one were received. Late: etcd may have written them earlier, because the
	// journal was not connected or stood still.
	At   time.Time
	Late bool

	digest []byte // of a checkpoint
}

// event reports whether the record is a change of a key.
func (r Record) event() bool { return r.Kind == KindPut || r.Kind == KindDelete }

// append encodes the record.
func (r Record) append(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, byte(r.Kind), 0, 0, 0, 0)
	number := func(v int64) { b = le.AppendUint64(b, uint64(v)) } //nolint:gosec // read back as it was
	switch r.Kind {
	case KindHeader:
		b = append(b, r.Data...)
	case KindPut, KindDelete:
		number(r.Revision)
		b = append(b, r.Data...)
	case KindLease:
		number(r.Lease)
		number(r.TTL)
	case KindCompaction:
		number(r.Revision)
	case KindCheckpoint:
		number(r.Revision)
		number(r.At.UnixNano())
		b = append(append(b, flag(r.Late)), r.digest...)
	}
	le.PutUint32(b[start+1:], uint32(len(b)-start-recordHeader)) //nolint:gosec // below longestPayload
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decode reads the payload of a record.
func decode(kind Kind, p []byte) (Record, error) {
	r := Record{Kind: kind}
	number := func() (v int64) {
		if len(p) >= numberLen {
			v = int64(binary.LittleEndian.Uint64(p)) //nolint:gosec // written like this
			p = p[numberLen:]
		}
		return v
	}
	least, exact := numberLen, true
	switch kind {
	case KindHeader:
		r.Data = p
		return r, nil
	case KindPut, KindDelete:
		exact = false
	case KindLease:
		least = 2 * numberLen
	case KindCheckpoint:
		least = checkpointLen
	case KindCompaction:
	default: // of a later version; readers skip what they do not know
		return r, nil
	}
	if len(p) < least || exact && len(p) != least {
		return r, fmt.Errorf("a record %q of %d bytes", kind, len(p))
	}
	switch kind {
	case KindLease:
		r.Lease, r.TTL = number(), number()
	case KindCheckpoint:
		r.Revision, r.At = number(), time.Unix(0, number()).UTC()
		r.Late, r.digest = p[0] != 0, p[1:]
	default:
		r.Revision, r.Data = number(), p
	}
	return r, nil
}

// records reads records one after the other.
type records struct {
	r    *bufio.Reader
	head [recordHeader]byte
	buf  bytes.Buffer
}

// next returns io.EOF at the end, and io.ErrUnexpectedEOF within a record.
func (s *records) next() (Record, int64, error) {
	if _, err := io.ReadFull(s.r, s.head[:]); err != nil {
		return Record{}, 0, err
	}
	size := int64(binary.LittleEndian.Uint32(s.head[1:]))
	if size > longestPayload {
		return Record{}, 0, errors.New("the length of a record is not possible")
	}
	s.buf.Reset()
	if _, err := io.CopyN(&s.buf, s.r, size); err != nil { // grows with what is there, not with what a damaged length says
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Record{}, 0, err
	}
	r, err := decode(Kind(s.head[0]), s.buf.Bytes())
	return r, recordHeader + size, err
}

// keyAndLease reads a protobuf mvccpb.KeyValue without a copy of its value.
func keyAndLease(raw []byte) (key []byte, lease int64, err error) {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, 0, errors.New("it is not a protobuf mvccpb.KeyValue")
		}
		raw = raw[n:]
		n = protowire.ConsumeFieldValue(field, kind, raw)
		if n < 0 {
			return nil, 0, fmt.Errorf("field %d of its value is cut off", field)
		}
		switch {
		case field == 1 && kind == protowire.BytesType:
			key, _ = protowire.ConsumeBytes(raw)
		case field == 6 && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(raw)
			lease = int64(v) //nolint:gosec // protobuf's own form of an int64
		}
		raw = raw[n:]
	}
	return key, lease, nil
}
