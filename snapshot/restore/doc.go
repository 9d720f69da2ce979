// Package restore makes an etcd data directory from a snapshot; etcd's own etcdutl library does the raft part.
//
// Invariant: everything is checked and built in a staging directory next to the target, and then renamed into place. Existing
// data is never changed: it is refused, or moved aside on request. After a crash at any moment the old data is complete, under
// its own name or the one it was moved to. At worst a staging directory is left, which the next restore removes.
package restore
