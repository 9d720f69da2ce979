// Package fusetest mounts file systems that behave as few real ones here do: they count in other units, have no inodes left, or lack
// a call. The stand-in passes everything on to a temporary directory, except what a test changes. It needs root and /dev/fuse.
//
// Its invariant: what a test does not change is what the real file system answers.
package fusetest

import (
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Op is an operation of the file system.
type Op string

// The operations that can fail.
const (
	Create  Op = "create"   // of a file
	Tmpfile Op = "tmpfile"  // O_TMPFILE
	Mkdir   Op = "mkdir"    // of a directory
	Write   Op = "write"    // to a file
	Close   Op = "close"    // of a file; it is closed all the same
	Fsync   Op = "fsync"    // of a file
	SyncDir Op = "fsyncdir" // of a directory
	Flock   Op = "flock"    // of a file
	Rename  Op = "rename"   // of the file or directory with the old name
	Unlink  Op = "unlink"   // of a file
	Statfs  Op = "statfs"   // reading the free space
)

// Space is what a file system answers to statfs.
type Space = fuse.StatfsOut

// Options describe a file system.
type Options struct {
	// DirectIO makes files that can't be mapped into memory (MAP_SHARED), as many network file systems have it.
	DirectIO bool
	// Space changes the answer to statfs; nil: nothing.
	Space func(*Space)
	// Fail returns the error of an operation, or 0 to let it happen; nil: nothing fails. name is the path below the mount, without a
	// slash at its beginning. It is called from several goroutines, and may block.
	Fail func(op Op, name string) syscall.Errno
}

// Mount mounts an empty file system until the end of the test and returns its path. Unmounting fails while a file in it is open.
func Mount(t testing.TB, o Options) string {
	t.Helper()
	path := t.TempDir()
	real, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := wrap(real, o)
	server, err := fs.Mount(path, root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, EnableLocks: true, FsName: "fusetest", Name: "fusetest"},
	})
	if err != nil {
		t.Fatalf("mount a FUSE file system: %v: run this test as root, with /dev/fuse", err)
	}
	t.Cleanup(func() {
		err := server.Unmount()
		for tries := 0; err != nil && tries < 100; tries++ { // the kernel releases files some moments after they are closed
			time.Sleep(50 * time.Millisecond)
			err = server.Unmount()
		}
		if err != nil {
			t.Errorf("unmount the FUSE file system: %v", err)
		}
	})
	return path
}

// Always makes operations fail with an error.
func Always(errno syscall.Errno, ops ...Op) func(Op, string) syscall.Errno {
	return func(op Op, _ string) syscall.Errno {
		for _, o := range ops {
			if o == op {
				return errno
			}
		}
		return 0
	}
}
