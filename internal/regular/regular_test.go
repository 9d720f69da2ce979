package regular_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/regular"
)

const limit = 1 << 10

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Each thing that is not a file, also behind a link, is refused without waiting for it.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer func() { must(t, unix.Close(socket)) }()
	must(t, unix.Mkfifo(at("pipe"), 0o600), unix.Bind(socket, &unix.SockaddrUnix{Name: at("socket")}), os.Mkdir(at("directory"), 0o700),
		os.Symlink("pipe", at("link to a pipe")), os.Symlink("/dev/zero", at("link to a device")))
	for name, want := range map[string]string{
		"pipe": "a pipe", "link to a pipe": "a pipe", "link to a device": "a device", "socket": "a socket", "directory": "but a directory",
	} {
		for _, flags := range []int{os.O_RDONLY, os.O_RDWR} {
			f, err := regular.Open(at(name), flags)
			if err == nil {
				must(t, f.Close())
			}
			if !errors.Is(err, regular.ErrUnusable) || !strings.Contains(err.Error(), at(name)) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, flags %d: %v", name, flags, err)
			}
		}
	}
	if _, err := regular.Open(at("nothing"), os.O_RDONLY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A pipe whose other end is open, and says nothing, is not waited for either.
func TestOpenPipeIsNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	_, err = regular.Read(fmt.Sprintf("/proc/self/fd/%d", r.Fd()), 0, limit)
	if !errors.Is(err, regular.ErrUnusable) {
		t.Errorf("an open pipe: %v", err)
	}
}

func TestNoMoreThanTheLimitIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, make([]byte, limit), 0o600), os.Symlink(path, path+".link"))
	for _, name := range []string{path, path + ".link"} { // Kubernetes mounts secrets as links
		if data, err := regular.Read(name, 0, limit); err != nil || len(data) != limit {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	if _, err := regular.Read(path+".link", unix.O_NOFOLLOW, limit); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link that is not to be followed: %v", err)
	}
	must(t, os.Truncate(path, 1<<40)) // 1 TiB, sparse
	if data, err := regular.Read(path, 0, limit); !errors.Is(err, regular.ErrUnusable) || !strings.Contains(err.Error(), "larger than 1.0 KiB") {
		t.Errorf("a huge file: %d bytes, %v", len(data), err)
	}
}
