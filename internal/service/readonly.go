package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/procfs"
)

// surroundings are what the process runs in, as far as that decides how a directory is made writable.
type surroundings int

const (
	onHost surroundings = iota
	inUnit
	inContainer
)

// surroundingsOf recognizes a service of systemd by its parent, and a container by what its engines leave there.
func surroundingsOf(mounts []*procfs.MountInfo) surroundings {
	if os.Getppid() == 1 && os.Getenv("INVOCATION_ID") != "" {
		return inUnit
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	root := mountOf(mounts, "/")
	if os.Getpid() == 1 || exists("/.dockerenv") || exists("/run/.containerenv") || root != nil && root.FSType == "overlay" {
		return inContainer
	}
	return onHost
}

const (
	readOnlyDisk      = "`dmesg` says whether a disk error did that; repair it, then: mount -o remount,rw"
	readOnlyUnit      = "add the directory to the unit's ReadWritePaths="
	readOnlyContainer = "mount a writable volume there: without :ro or readOnly, and with a read-only root file system (--read-only, readOnlyRootFilesystem) one for this directory"
)

// readOnlyHint says why a file system refuses a write with EROFS, and what to do about it where this process runs.
func readOnlyHint(err error) string {
	mounts, _ := procfs.GetMounts() // without them, all that may be the cause is said
	return readOnlyHintAt(err, mounts, surroundingsOf(mounts))
}

func readOnlyHintAt(err error, mounts []*procfs.MountInfo, at surroundings) string {
	m := mountOf(mounts, pathOf(err))
	has := func(options map[string]string) bool { _, ok := options["ro"]; return ok }
	switch {
	case m != nil && has(m.SuperOptions): // whatever else forbids it
		return fmt.Sprintf("the file system of %s is read-only: %s %[1]s", m.MountPoint, readOnlyDisk)
	case m == nil || !has(m.Options):
		return fmt.Sprintf("the file system is read-only: %s; under systemd, %s; in a container, %s", readOnlyDisk+" it", readOnlyUnit, readOnlyContainer)
	case at == inUnit:
		return "the unit's sandbox forbids writing there: " + readOnlyUnit
	case at == inContainer:
		return "it is read-only in this container: " + readOnlyContainer
	}
	return fmt.Sprintf("%s is mounted read-only: mount -o remount,rw %[1]s", m.MountPoint)
}

// pathOf is the absolute path that an error of the operating system is about; "": not known.
func pathOf(err error) string {
	path := ""
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		path = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		path = e.New
	}
	if !filepath.IsAbs(path) {
		return ""
	}
	return path
}

// mountOf is the mount that has the path, or the part of it that exists; nil: not known.
func mountOf(mounts []*procfs.MountInfo, path string) (found *procfs.MountInfo) {
	if path == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	for err != nil && path != "/" {
		path = filepath.Dir(path)
		real, err = filepath.EvalSymlinks(path)
	}
	for _, m := range mounts { // a later one may hide an earlier one
		inside := m.MountPoint == "/" || real == m.MountPoint || strings.HasPrefix(real, m.MountPoint+"/")
		if inside && (found == nil || len(m.MountPoint) >= len(found.MountPoint)) {
			found = m
		}
	}
	return found
}
