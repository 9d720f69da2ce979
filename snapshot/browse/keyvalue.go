package browse

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"etcd-rolling-backup/snapshot"
)

// KeyValue is a key as etcd has it at one revision.
type KeyValue struct {
	Key, Value []byte
	Created    int64 // the revision of its creation; later than that of an earlier life of the same key
	Modified   int64 // the revision of its last change
	Version    int64 // how many changes it has had since its creation
	Lease      int64 // 0: none
}

// clone copies what is in the mapped file.
func (kv KeyValue) clone() KeyValue {
	kv.Key, kv.Value = bytes.Clone(kv.Key), bytes.Clone(kv.Value)
	return kv
}

// parse reads a protobuf mvccpb.KeyValue without a copy. The generated code would copy each value.
func parse(raw []byte) (kv KeyValue, err error) {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || field > protowire.MaxValidNumber {
			return kv, errors.New("its value has an invalid field")
		}
		raw = raw[n:]
		switch {
		case kind == protowire.BytesType && field == 1 && kv.Key == nil:
			kv.Key, n = protowire.ConsumeBytes(raw)
		case kind == protowire.BytesType && field == 5:
			kv.Value, n = protowire.ConsumeBytes(raw)
		case kind == protowire.VarintType && kv.number(field) != nil:
			var v uint64
			v, n = protowire.ConsumeVarint(raw)
			*kv.number(field) = int64(v) //nolint:gosec // protobuf's own form of an int64
		default:
			n = protowire.ConsumeFieldValue(field, kind, raw)
		}
		if n < 0 {
			return kv, fmt.Errorf("field %d of its value is cut off", field)
		}
		raw = raw[n:]
	}
	return kv, nil
}

// number returns where a number of the message belongs.
func (kv *KeyValue) number(field protowire.Number) *int64 {
	switch field {
	case 2:
		return &kv.Created
	case 3:
		return &kv.Modified
	case 4:
		return &kv.Version
	case 6:
		return &kv.Lease
	}
	return nil
}

// change is one entry of the bucket "key".
type change struct {
	at  snapshot.Revision
	raw []byte // mvccpb.KeyValue, in the mapped file; of a deletion it has the key only
	key []byte
}

// readChange reads an entry. The key is empty in the one that etcdutl adds when it raises the revision.
func readChange(revision, value []byte) (c change, err error) {
	if c.at, err = snapshot.ParseRevision(revision); err == nil && value == nil {
		err = errors.New("a bucket where etcd has a value")
	}
	if err == nil {
		c.raw = value
		c.key, err = keyOf(value)
	}
	if err != nil {
		return c, fmt.Errorf("%w: etcd can't read the entry %.40x of the bucket \"key\": %w", snapshot.ErrDamaged, revision, err)
	}
	return c, nil
}

// keyOf is the key of a mvccpb.KeyValue. It is the first field, so the value after it is not read.
func keyOf(raw []byte) ([]byte, error) {
	const firstField = 1<<3 | byte(protowire.BytesType)
	if len(raw) > 0 && raw[0] == firstField {
		if key, n := protowire.ConsumeBytes(raw[1:]); n > 0 {
			return key, nil
		}
	}
	kv, err := parse(raw)
	return kv.Key, err
}
