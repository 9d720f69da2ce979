package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/version"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	revisionLen       = 17
	tombstoneLen      = revisionLen + 1
	tombstone    byte = 't'

	// maxRevision is far more than an etcd reaches, and leaves room to raise it: etcd's own type is int64, and its library does not look
	// for an overflow.
	maxRevision = math.MaxInt64 / 2
)

var errNested = errors.New("a bucket where etcd has a value")

// records checks each entry of the buckets that etcd decodes when it starts, as etcd does: one that it can't decode ends etcd, and
// some end its library in a way that nothing can catch.
type records struct {
	revision int64  // the newest one, also of a compaction, which may have removed the newest change if it was a deletion
	last     []byte // of the bucket "key"
}

// check reads one entry. of is the key of an entry of the bucket "key", nil for others.
func (r *records) check(bucket string, k, v []byte) (of []byte, err error) {
	switch {
	case v == nil && isDecoded(bucket):
		err = errNested
	case bucket == "key":
		of, err = r.change(k, v)
	default:
		err = r.other(bucket, k, v)
	}
	if err != nil {
		entry := strconv.Quote(string(k[:min(len(k), 40)]))
		if bucket == "key" {
			entry = hex.EncodeToString(k[:min(len(k), tombstoneLen)])
		}
		return nil, fmt.Errorf("%w: etcd can't read the entry %s of the bucket %q: %w", ErrDamaged, entry, bucket, err)
	}
	return of, nil
}

func isDecoded(bucket string) bool {
	switch bucket {
	case "key", "meta", "lease", "alarm", "auth", "authUsers", "authRoles", "members", "members_removed", "cluster":
		return true
	}
	return false
}

// change reads an entry of the bucket "key": a revision, later than the one before, and a protobuf mvccpb.KeyValue.
func (r *records) change(revision, value []byte) (key []byte, err error) {
	if err := r.see(revision); err != nil {
		return nil, err
	}
	if r.last != nil && bytes.Compare(r.last[:revisionLen], revision[:revisionLen]) >= 0 {
		return nil, errors.New("two changes have this revision")
	}
	r.last = revision
	return keyOf(value)
}

// see reads a revision.
func (r *records) see(revision []byte) error {
	parsed, err := ParseRevision(revision)
	r.revision = max(r.revision, parsed.Main)
	return err
}

// Revision is the key of an entry of the bucket "key".
type Revision struct {
	Main, Sub int64
	Tombstone bool // a deletion
}

// ParseRevision reads a revision: the main revision in 8 bytes big endian, "_", the sub revision, and "t" for a deletion (etcd,
// server/storage/mvcc/revision.go).
func ParseRevision(b []byte) (Revision, error) {
	marked := len(b) == tombstoneLen && b[revisionLen] == tombstone
	if len(b) != revisionLen && !marked || b[8] != '_' {
		return Revision{}, fmt.Errorf("%.40x is not a revision", b)
	}
	main, sub := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[9:])
	if main > maxRevision || sub > math.MaxInt64 {
		return Revision{}, fmt.Errorf("no etcd reaches the revision %d.%d", main, sub)
	}
	return Revision{Main: int64(main), Sub: int64(sub), Tombstone: marked}, nil
}

// keyOf returns field 1 of an mvccpb.KeyValue. It is empty in the entry that etcdutl adds when it raises the revision.
func keyOf(value []byte) (key []byte, err error) {
	for len(value) > 0 {
		field, kind, n := protowire.ConsumeTag(value)
		if n < 0 || field > protowire.MaxValidNumber {
			return nil, errors.New("its value has an invalid field")
		}
		size := protowire.ConsumeFieldValue(field, kind, value[n:])
		if size < 0 {
			return nil, fmt.Errorf("field %d of its value is cut off", field)
		}
		if field == 1 && kind == protowire.BytesType {
			key, _ = protowire.ConsumeBytes(value[n:])
		}
		value = value[n+size:]
	}
	return key, nil
}

func (r *records) other(bucket string, k, v []byte) (err error) {
	switch bucket + "/" + string(k) {
	case "meta/finishedCompactRev", "meta/scheduledCompactRev":
		return r.see(v)
	case "auth/authRevision":
		if len(v) < 8 {
			return fmt.Errorf("%d bytes are not a number", len(v))
		}
	case "cluster/clusterVersion":
		_, err = semver.NewVersion(string(v))
	case "cluster/downgrade":
		var d version.DowngradeInfo
		if err = json.Unmarshal(v, &d); err == nil && d.Enabled {
			_, err = semver.NewVersion(d.TargetVersion)
		}
	}
	switch bucket {
	case "lease":
		err = decode(v, &leasepb.Lease{})
	case "alarm":
		err = decode(k, &etcdserverpb.AlarmMember{})
	case "authUsers":
		err = decode(v, &authpb.User{})
	case "authRoles":
		err = decode(v, &authpb.Role{})
	case "members":
		if err = json.Unmarshal(v, &membership.Member{}); err == nil {
			err = memberID(k)
		}
	case "members_removed":
		err = memberID(k)
	}
	return shortened(err)
}

func decode(b []byte, m proto.Message) error {
	if proto.Unmarshal(b, m) != nil { // its texts say no more, and change from build to build
		return fmt.Errorf("it is not a protobuf %s", m.ProtoReflect().Descriptor().FullName())
	}
	return nil
}

func memberID(k []byte) error {
	_, err := strconv.ParseUint(string(k), 16, 64)
	return err
}

// shortened limits what an error quotes of the database.
func shortened(err error) error {
	const longest = 200
	if err == nil || len(err.Error()) <= longest {
		return err
	}
	return errors.New(err.Error()[:longest] + "…")
}
