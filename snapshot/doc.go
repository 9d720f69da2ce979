// Package snapshot defines what a snapshot is: its name, its manifest, its archive file. It takes a snapshot from a member in a
// single pass, stores snapshots in a directory, and verifies them.
//
// Invariant: a file under its final name is complete, was compared with etcd's own digest, and is safe on the disk. A crash at
// any moment leaves at worst a partial file (NAME.part), which RemovePartials removes.
package snapshot

import "errors"

// ErrDamaged marks an archive that is not, byte for byte, what was written.
var ErrDamaged = errors.New("damaged")
