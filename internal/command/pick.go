package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

// picked is the snapshot that a command's one argument names: latest (also without one), a name, a label or a file's path.
// It is open, and proven by nothing yet.
type picked struct {
	file    *os.File
	name    string        // the file's path, or the name of one from the bucket
	scratch *snapshot.Dir // where large files may be made for as long as it is looked at
}

// oneSnapshot refuses more arguments than one.
func oneSnapshot(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef("%s takes one snapshot, and %d were given", c.Command.Name, c.NArg())
	}
	return nil
}

func reference(c *cli.Context) string {
	if ref := c.Args().First(); ref != "" {
		return ref
	}
	return snapshot.Latest
}

// pick opens the snapshot in the one place that --from names. One in the bucket is brought into a nameless file first, which leaves
// minFree bytes on its disk.
func pick(c *cli.Context, e env, minFree int64) (*picked, error) {
	local, remote, err := places(c)
	if err != nil {
		return nil, err
	}
	switch {
	case local && remote:
		return nil, usagef("--from: %s takes one snapshot from one place: local or s3", c.Command.Name)
	case remote:
		return pickRemote(c, e, minFree)
	}
	return pickLocal(c)
}

// pickLocal takes for scratch the directory that the file lies in where that can be written, for snapshots are large and
// /tmp may be small.
func pickLocal(c *cli.Context) (*picked, error) {
	ref := reference(c)
	if strings.ContainsRune(ref, filepath.Separator) {
		return pickFile(ref)
	}
	dir, err := directory(c)
	if err != nil {
		return nil, err
	}
	l, err := dir.List()
	if err != nil {
		return nil, err
	}
	entry, err := l.Find(ref, time.Now())
	if err != nil {
		if ref != snapshot.Latest {
			err = fmt.Errorf("%w (a file elsewhere: give its path with a slash in it)", err)
		}
		return nil, fmt.Errorf("look into %s: %w", dir.Path(), err)
	}
	f, err := dir.File(entry.Name)
	if err != nil {
		return nil, err
	}
	return &picked{file: f, name: f.Name(), scratch: scratchFor(dir.Path())}, nil
}

func pickFile(path string) (*picked, error) {
	// Before opening it, which would wait for ever for a pipe's other end.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = usagef("%s is not a file", path)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &picked{file: f, name: path, scratch: scratchFor(filepath.Dir(path))}, nil
}

// pickRemote uses the disk of --dir where there is one, else that of the temporary files.
func pickRemote(c *cli.Context, e env, minFree int64) (*picked, error) {
	r, err := findRemote(c)
	if err != nil {
		return nil, err
	}
	defer r.bucket.Close()
	dir, err := directory(c)
	if err != nil {
		return nil, err
	}
	p := &picked{name: r.entry.Name.String(), scratch: scratchFor(dir.Path())}
	err = r.read(c, e, func(body io.Reader, bytes int64, progress func(done, total int64)) (err error) {
		p.file, err = p.scratch.Fetch(c.Context, body, bytes, minFree, progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func scratchFor(path string) *snapshot.Dir {
	if dir := snapshot.NewDir(path); dir.Writable() == nil {
		return dir
	}
	return snapshot.NewDir(os.TempDir())
}
