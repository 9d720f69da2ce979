// Package snapshot says what a snapshot is: its name, its manifest, its archive file; it takes one from
// a member in a single pass, keeps them in a directory, and proves them whole.
//
// Invariant: a file under its final name is complete, was compared with etcd's own digest, and has
// reached the disk. A crash anywhere leaves at worst a partial (NAME.part), which RemovePartials clears.
package snapshot

import "errors"

// ErrDamaged marks an archive that is not, byte for byte, what was written.
var ErrDamaged = errors.New("damaged")
