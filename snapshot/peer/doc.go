// Package peer copies one snapshot to the other members over mutual TLS, with etcd's own certificates: Serve offers it, a Client
// fetches it.
//
// Invariant: a client without a certificate of the CA gets no byte, no path of a request reaches a file system, and a transfer
// that ends with io.EOF returned exactly the offered bytes. Nothing here is limited by total time, everything by lack of
// progress.
//
// Over HTTP/1.1 there are two paths: / returns the Remote as JSON, /<name> the bytes, with ranges.
package peer

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

var (
	// ErrConfig marks settings that cannot work, whatever the peer does.
	ErrConfig = errors.New("peer settings")
	// ErrCertificate marks a certificate that cannot be used here, or that one side does not trust.
	ErrCertificate = errors.New("peer certificate")
	// ErrNoPeer marks an address where something else answers.
	ErrNoPeer = errors.New("not a peer of this program")
	// ErrChanged marks a snapshot that the peer no longer offers.
	ErrChanged = errors.New("the peer offers another snapshot now")
)

// stall is how long a transfer may make no progress, unless its owner sets another time.
const stall = time.Minute

// service is in the answer of /, so that no other server is mistaken for a peer.
const service = "etcd-rolling-backup/peer/1"

// Remote is a snapshot as a peer offers it.
type Remote struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // of the archive's file, bytes
	SHA256 string `json:"sha256"` // of the archive's file, 64 hexadecimal digits
}

// answer is the answer of /.
type answer struct {
	Service string `json:"service"`
	Remote
}

// checkName accepts a file name, but no path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || name != path.Base(name) || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%w: %q is not a snapshot name", ErrConfig, name)
	}
	return nil
}
