// Package drill proves that a snapshot can be restored by restoring it: into a scratch directory, with etcd's own library,
// and by starting an etcd on what came out, which then has to hold what the snapshot holds.
//
// Invariant: nobody but the drill notices it. The etcd listens nowhere, runs in a process of its own at the lowest priority,
// which the kernel kills first when memory is short, and all that was written is gone afterwards, or with the next Start or
// RemoveLeftovers where a crash came in between. The archive is only ever read.
package drill

import "time"

// Stage is what a drill is about.
type Stage string

// The stages of a drill, in their order.
const (
	StageUnpack  Stage = "unpack"  // the archive, proving it as snapshot.Verify does
	StageRestore Stage = "restore" // into a data directory, as etcdutl snapshot restore does
	StageHash    Stage = "hash"    // what the snapshot itself holds
	StageBoot    Stage = "boot"    // an etcd on the data directory
	StageCompare Stage = "compare" // what that etcd holds with what the snapshot holds, and a write
	StageStop    Stage = "stop"
)

// Step tells how far a drill has come.
type Step struct {
	Stage Stage `json:"stage"`
	Done  int64 `json:"done,omitempty"`  // bytes, of StageUnpack
	Total int64 `json:"total,omitempty"` // bytes, of StageUnpack
}

// Result is what a drill has found: the restored etcd held all of it, equal to what the snapshot holds.
type Result struct {
	Name            string   `json:"name"`             // of the snapshot, from its manifest
	Revision        int64    `json:"revision"`         // the newest that it holds
	Keys            int64    `json:"keys"`             // alive at that revision
	HashKV          uint32   `json:"hash_kv"`          // what "etcdctl endpoint hashkv" says at HashRevision
	HashRevision    int64    `json:"hash_revision"`    // equal to Revision
	CompactRevision int64    `json:"compact_revision"` // from which on HashKV counts the history; -1: never compacted
	Sampled         int      `json:"sampled"`          // keys that were read one by one
	Auth            bool     `json:"auth"`             // the restored etcd demands users
	Alarms          []string `json:"alarms,omitempty"` // that the restored etcd raised at once: CORRUPT, NOSPACE
	EtcdVersion     string   `json:"etcd_version"`     // of the etcd that was started
	Nice            int      `json:"nice"`             // the process's priority: 19 unless the system refused it
	Took            Took     `json:"took"`
}

// Took is how long each stage lasted, in nanoseconds where it is JSON.
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
