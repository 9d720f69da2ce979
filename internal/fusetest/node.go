package fusetest

import (
	"context"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory.
type node struct {
	*fs.LoopbackNode
	options Options
}

func wrap(x fs.InodeEmbedder, o Options) fs.InodeEmbedder {
	if real, ok := x.(*fs.LoopbackNode); ok {
		return &node{LoopbackNode: real, options: o}
	}
	return x
}

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return wrap(child, n.options)
}

// fails asks the test about an operation on this file or directory, or on a name in it.
func (n *node) fails(op Op, name string) syscall.Errno {
	if n.options.Fail == nil {
		return 0
	}
	return n.options.Fail(op, filepath.Join(n.Path(nil), name))
}

// openFlags are those of each opened file.
func (n *node) openFlags() uint32 {
	if n.options.DirectIO {
		return fuse.FOPEN_DIRECT_IO
	}
	return 0
}

// Statfs implements fs.NodeStatfser.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	if errno := n.fails(Statfs, ""); errno != 0 {
		return errno
	}
	errno := n.LoopbackNode.Statfs(ctx, out)
	if errno == 0 && n.options.Space != nil {
		n.options.Space(out)
	}
	return errno
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.fails(Create, name); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, f, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, served(f), fuseFlags | n.openFlags(), errno
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return served(f), fuseFlags | n.openFlags(), errno
}

// Tmpfile implements fs.NodeTmpfiler.
func (n *node) Tmpfile(ctx context.Context, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.fails(Tmpfile, ""); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, f, fuseFlags, errno := n.LoopbackNode.Tmpfile(ctx, flags, mode, out)
	return inode, served(f), fuseFlags | n.openFlags(), errno
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.fails(Mkdir, name); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.fails(Rename, name); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.fails(Unlink, name); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

// Write implements fs.NodeWriter.
func (n *node) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := n.fails(Write, ""); errno != 0 {
		return 0, errno
	}
	w, ok := f.(fs.FileWriter)
	if !ok {
		return 0, syscall.ENOTSUP
	}
	return w.Write(ctx, data, off)
}

// Writev implements fs.NodeWritever.
func (n *node) Writev(ctx context.Context, f fs.FileHandle, data [][]byte, off int64) (uint32, syscall.Errno) {
	return n.Write(ctx, f, slices.Concat(data...), off)
}

// Fsync implements fs.NodeFsyncer.
func (n *node) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if errno := n.fails(Fsync, ""); errno != 0 {
		return errno
	}
	s, ok := f.(fs.FileFsyncer)
	if !ok {
		return syscall.ENOTSUP
	}
	return s.Fsync(ctx, flags)
}

// Flush implements fs.NodeFlusher.
func (n *node) Flush(ctx context.Context, f fs.FileHandle) syscall.Errno {
	if errno := n.fails(Close, ""); errno != 0 {
		return errno
	}
	c, ok := f.(fs.FileFlusher)
	if !ok {
		return 0
	}
	return c.Flush(ctx)
}

// Setlk implements fs.NodeSetlker. Only taking a lock can fail.
func (n *node) Setlk(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	if errno := n.fails(Flock, ""); errno != 0 && lk.Typ != syscall.F_UNLCK {
		return errno
	}
	l, ok := f.(fs.FileSetlker)
	if !ok {
		return syscall.ENOTSUP
	}
	return l.Setlk(ctx, owner, lk, flags)
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if real, ok := f.(realDir); ok {
		f = &dir{realDir: real, node: n}
	}
	return f, fuseFlags, errno
}

// file is an open file whose reads and writes all come here. The kernel would do those of a LoopbackFile itself.
type file struct{ *fs.LoopbackFile }

// PassthroughFd implements fs.FilePassthroughFder.
func (file) PassthroughFd() (int, bool) { return 0, false }

func served(f fs.FileHandle) fs.FileHandle {
	if real, ok := f.(*fs.LoopbackFile); ok {
		return &file{real}
	}
	return f
}

// realDir is what go-fuse makes of an open directory.
type realDir interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
	fs.FileFsyncdirer
}

// dir is an open directory.
type dir struct {
	realDir
	node *node
}

// Fsyncdir implements fs.FileFsyncdirer.
func (d *dir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if errno := d.node.fails(SyncDir, ""); errno != 0 {
		return errno
	}
	return d.realDir.Fsyncdir(ctx, flags)
}
