// Package restore makes an etcd data directory of a snapshot; etcd's own etcdutl library does the raft side.
//
// Invariant: everything is checked and built in a directory of its own beside the target and then renamed into place. What
// was there is refused, or moved aside when asked, and never changed: a crash at any moment leaves the old data whole under
// its own name or the one it was moved to, and leaves at worst a staging directory, which the next restore removes.
package restore
