// Package peer brings one snapshot to the other members over mutual TLS, with the certificates that etcd has: Serve
// offers it, a Client fetches it.
//
// Invariant: nobody without a client certificate of the CA gets a byte, no path of a request reaches a file system, and
// a transfer that ends with io.EOF gave the very bytes that were offered. Nothing here ends on total time, all on lack of
// progress.
//
// Over HTTP/1.1 there are two paths: / is the Remote as JSON, /<name> are the bytes, with ranges.
package peer

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

var (
	// ErrConfig marks settings that can't work, whatever the peer does.
	ErrConfig = errors.New("peer settings")
	// ErrCertificate marks a certificate that is of no use here, or that one side does not trust.
	ErrCertificate = errors.New("peer certificate")
	// ErrNoPeer marks an address where something else answers.
	ErrNoPeer = errors.New("no peer of this program")
	// ErrChanged marks a snapshot that the peer does not offer any more.
	ErrChanged = errors.New("the peer offers another snapshot now")
)

// stall is how long a transfer may rest unless its owner says otherwise.
const stall = time.Minute

// service is told by /, so that no other server is taken for a peer.
const service = "etcd-rolling-backup/peer/1"

// Remote is a snapshot as a peer offers it.
type Remote struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // of the archive's file, bytes
	SHA256 string `json:"sha256"` // of the archive's file, 64 hexadecimal digits
}

// answer is what / gives.
type answer struct {
	Service string `json:"service"`
	Remote
}

// checkName demands a file's name, and no path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || name != path.Base(name) || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%w: %q is no snapshot's name", ErrConfig, name)
	}
	return nil
}
