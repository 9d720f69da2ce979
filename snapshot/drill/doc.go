// Package drill proves that a snapshot can be restored by restoring it: with etcd's own library into a scratch directory. Then it
// starts an etcd on the result and checks that it contains what the snapshot contains.
//
// Invariant: a drill disturbs nothing else. The etcd listens nowhere and runs in its own process at the lowest priority, which
// the kernel kills first when memory runs out. All files are removed afterwards or, after a crash, by the next Start or
// RemoveLeftovers. The archive is only read.
package drill

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// Stage is one stage of a drill.
type Stage string

// The stages of a drill, in their order.
const (
	StageUnpack  Stage = "unpack"  // decompress and verify the archive, as snapshot.Verify does
	StageRestore Stage = "restore" // restore a data directory, as etcdutl snapshot restore does
	StageHash    Stage = "hash"    // hash the content of the snapshot itself
	StageBoot    Stage = "boot"    // start an etcd on the data directory
	StageCompare Stage = "compare" // compare the content of that etcd with the snapshot's, and write a key
	StageStop    Stage = "stop"
)

// Step reports the progress of a drill.
type Step struct {
	Stage Stage `json:"stage"`
	Done  int64 `json:"done,omitempty"`  // bytes, of StageUnpack
	Total int64 `json:"total,omitempty"` // bytes, of StageUnpack
}

// Result reports a successful drill: the restored etcd contained everything, equal to the snapshot.
type Result struct {
	Name            string   `json:"name"`             // of the snapshot, from its manifest
	Revision        int64    `json:"revision"`         // the newest in the snapshot
	Keys            int64    `json:"keys"`             // that exist at that revision
	HashKV          uint32   `json:"hash_kv"`          // as "etcdctl endpoint hashkv" shows it at HashRevision
	HashRevision    int64    `json:"hash_revision"`    // equal to Revision
	CompactRevision int64    `json:"compact_revision"` // where the history in HashKV begins; -1: never compacted
	Sampled         int      `json:"sampled"`          // number of keys that were read one by one
	Auth            bool     `json:"auth"`             // the restored etcd requires authentication
	Alarms          []string `json:"alarms,omitempty"` // alarms of the restored etcd right after its start: CORRUPT, NOSPACE
	EtcdVersion     string   `json:"etcd_version"`     // of the etcd that was started
	Nice            int      `json:"nice"`             // the process's niceness: 19 unless the system refused it
	Took            Took     `json:"took"`
}

// Took is the duration of each stage, in nanoseconds in JSON.
type Took struct {
	Unpack  time.Duration `json:"unpack"`
	Restore time.Duration `json:"restore"`
	Hash    time.Duration `json:"hash"`
	Boot    time.Duration `json:"boot"`
	Compare time.Duration `json:"compare"`
	Stop    time.Duration `json:"stop"`
}

// All is the sum of the stages.
func (t Took) All() time.Duration {
	return t.Unpack + t.Restore + t.Hash + t.Boot + t.Compare + t.Stop
}

// What a drill can find in an intact archive. Such a snapshot is as useless as a damaged one, so both are a snapshot.ErrDamaged.
// Their texts do not say so, because no byte of the archive is wrong.
var (
	// ErrContents marks a snapshot whose restored content differs from its own.
	ErrContents error = &textError{"wrong contents", snapshot.ErrDamaged}
	// ErrStart marks a snapshot on which etcd cannot start or work.
	ErrStart error = &textError{"unusable by etcd", snapshot.ErrDamaged}
)

// textError is an error with its own text that wraps another one.
type textError struct {
	text string
	kind error // may be nil
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.kind }

// mismatch returns an ErrContents.
func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrContents}, args...)...)
}

// blame wraps err in fault, which blames the snapshot, unless the machine caused err.
func blame(fault, err error) error {
	for _, passing := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EROFS, unix.EFBIG} {
		if errors.Is(err, passing) {
			return err
		}
		// bbolt returns some of them as text only.
		if strings.HasSuffix(err.Error(), ": "+passing.Error()) {
			return &textError{err.Error(), passing}
		}
	}
	return fmt.Errorf("%w: %w", fault, err)
}
