package fleet

import "etcd-rolling-backup/snapshot"

// keysOf returns the number of live keys, if the manifest has it; nil: it has not.
func keysOf(snapshot.Manifest) *int64 { return nil }
