package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/member"
)

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{fs.ErrNotExist, 1},
		{context.Canceled, 1},
		{context.DeadlineExceeded, 1},
		{snapshot.ErrNotFound, 1},
		{snapshot.ErrExists, 1},
		{s3.ErrArchived, 1},
		{snapshot.ErrInUse, 1},
		{snapshot.ErrStalled, 1},
		{snapshot.ErrLowSpace, 1},
		{snapshot.ErrFormat, 1},
		{member.ErrLearner, 1},
		{daemon.ErrSkipped, 1},
		{config.Usagef("wrong"), 2},
		{config.Usagef("%w", fs.ErrNotExist), 2},
		{snapshot.ErrName, 2},
		{snapshot.ErrUnusableDir, 2},
		{daemon.ErrSchedule, 2},
		{member.ErrConfig, 2},
		{member.ErrDifferentClusters, 2},
		{snapshot.ErrDamaged, 3},
		{drill.ErrSkipped, 1}, // as of verify --restore
		{drill.ErrMemory, 1},
		{fmt.Errorf("drill: unpack: %w", snapshot.ErrLowSpace), 1},
		{&fs.PathError{Op: "write", Path: "/x", Err: syscall.EIO}, 1},
		{fmt.Errorf("drill: compare: %w", drill.ErrContents), 3},
		{fmt.Errorf("drill: boot: %w", drill.ErrStart), 3},
		// The finding remains, whatever failed when cleaning up after it.
		{errors.Join(snapshot.ErrDamaged, &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}), 3},
		{errors.Join(snapshot.ErrUnusableDir, snapshot.ErrDamaged), 3},
		{&checkError{names: []string{"etcd", "newest"}, errs: []error{fs.ErrNotExist, snapshot.ErrDamaged}}, 3},
		{&checkError{names: []string{"etcd"}, errs: []error{fs.ErrNotExist}}, 1},
	} {
		if got := exitStatus(test.err); got != test.want {
			t.Errorf("%v: status %d, want %d", test.err, got, test.want)
		}
		if test.err == nil {
			continue
		}
		// Wrapping it or joining another error to it does not change the status.
		wrapped := errors.Join(fmt.Errorf("outer: %w", test.err), errors.New("close failed"))
		if got := exitStatus(wrapped); got != test.want {
			t.Errorf("wrapped %v: status %d, want %d", test.err, got, test.want)
		}
	}
}

func TestReportIsOneLine(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "plain"},
		{errors.Join(errors.New("one"), errors.New("two")), "one; two"},
		{errors.New("errors:\n  line 1: no\n\n  line 2: no"), "errors: line 1: no; line 2: no"},
		{errors.New("a\n\n\nb\n"), "a; b"},
		{fmt.Errorf("%w: mkdir x", snapshot.ErrUnusableDir), "unusable directory: mkdir x (--dir: use one that exists and that this user may write to)"},
		{fmt.Errorf("open /x: %w", syscall.EIO), "open /x: input/output error (the disk is failing: `dmesg` says why)"},
		{fmt.Errorf("open /x: %w", syscall.ESTALE), "open /x: stale file handle (the NFS server no longer has it: mount it again)"},
		{&checkError{names: []string{"a", "b"}, errs: []error{snapshot.ErrUnusableDir, context.Canceled}}, "check failed: a, b"},
	} {
		var b bytes.Buffer
		report(&b, test.err)
		if want := "etcd-rolling-backup: " + test.want + "\n"; b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
}

// A read-only disk may be fixed while the program is restarted again and again, so it is not wrong usage; a wrong path is.
func TestReadOnlyDirectoryIsNoWrongUsage(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Fatalf("mount a tmpfs: %v: run this test as root, or under unshare -rm", err)
	}
	defer func() { must(t, unix.Unmount(disk, 0)) }()
	used := filepath.Join(disk, "used")
	must(t, os.Mkdir(used, 0o700))
	must(t, os.WriteFile(filepath.Join(used, ".lock"), nil, 0o600))
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for _, command := range []string{"daemon", "save"} {
		for _, dir := range []string{disk, used, filepath.Join(disk, "missing")} {
			status, _, stderr := run(t.Context(), command, "--dir", dir, "--node", "n1", "--endpoints", "127.0.0.1:1")
			if status != exitFailed || !strings.Contains(stderr, dir) || !strings.Contains(stderr, "mount -o remount,rw "+disk) || strings.Contains(stderr, "--dir: use") {
				t.Errorf("%s --dir %s: status %d, stderr %q", command, dir, status, stderr)
			}
		}
	}
	status, _, stderr := run(t.Context(), "daemon", "--dir", filepath.Join(used, ".lock"), "--node", "n1")
	if status != exitUsage || !strings.Contains(stderr, "--dir: use one that exists") {
		t.Errorf("a file: status %d, stderr %q", status, stderr)
	}
}

// run runs the program in this process.
func run(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Main(ctx, Process{Version: "1.2.3-test", Root: noRoot, Stdout: &out, Stderr: &errs}, append([]string{program}, args...))
	return status, out.String(), errs.String()
}

// A signal while etcd is asked stops the program immediately, and it says so.
func TestStoppedBySignal(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		conn, err := silent.Accept()
		cancel()
		if err == nil {
			defer conn.Close()
		}
		asked <- err
	}()
	dir, password := filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := run(ctx, "save", "--dir", dir, "--node", "n1", "--endpoints", silent.Addr().String(), "--etcd-timeout", "1h")
	if status != exitFailed || stdout != "" || stderr != "etcd-rolling-backup: stopped by a signal\n" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	if err := errors.Join(silent.Close(), <-asked); err != nil {
		t.Error(err)
	}
	// Without a signal none is reported, whatever was canceled deeper down.
	status, _, stderr = run(t.Context(), "save", "--dir", dir, "--node", "n1", "--endpoints", "127.0.0.1:1", "--etcd-timeout", "100ms",
		"--user", "root", "--password-file", password)
	if status != exitFailed || strings.Contains(stderr, "signal") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// What prune removed before it failed, and what it could not remove, is shown all the same.
func TestPruneShowsWhatItDidBeforeItFailed(t *testing.T) {
	dir := t.TempDir()
	for _, day := range []int{1, 2, 3} {
		n, err := snapshot.NewName(snapshot.RollingSet, "n1", time.Date(2025, 1, day, 0, 0, 0, 0, time.UTC))
		must(t, err)
		file, err := os.Create(filepath.Join(dir, n.String()))
		must(t, err)
		w, err := snapshot.NewWriter(file)
		must(t, err)
		database := make([]byte, 512)
		digest := sha256.Sum256(database)
		_, err = w.Write(append(database, digest[:]...))
		must(t, err)
		_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, Node: n.Node, Source: snapshot.Source{ClusterID: 1, Revision: 1}})
		must(t, errors.Join(err, file.Close()))
	}
	busy := filepath.Join(dir, "rolling_n1_20250101T000000Z.db.zst")
	must(t, unix.Mount(busy, busy, "", unix.MS_BIND, ""))
	defer func() { must(t, unix.Unmount(busy, 0)) }()
	status, stdout, stderr := run(t.Context(), "prune", "--dir", dir, "--node", "n1", "--keep-last", "1")
	if status != exitFailed || !strings.Contains(stderr, "busy") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	for _, want := range []string{"keep      local   rolling_n1_20250101T000000Z.db.zst", "it could not be removed", "removed   local   rolling_n1_20250102", "removed 1 of 3"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
