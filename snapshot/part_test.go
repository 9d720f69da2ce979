package snapshot_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// holdEnv names a directory in which this test program, started again, writes a partial file.
const holdEnv = "ETCD_BACKUP_TEST_HOLD"

// holdPartial creates the partial file of nameA, reports it, and exits when its input ends.
func holdPartial(dir string) (status int) {
	p, err := snapshot.NewDir(dir).Create(context.Background(), nameA())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := p.Write([]byte("half a snapshot")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// writerProcess starts another process that holds the partial file of nameA until it is killed.
func writerProcess(t *testing.T, d *snapshot.Dir) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), holdEnv+"="+d.Path())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q and %v", line, err)
	}
	return func() {
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		_ = stdin.Close()
	}
}

func TestRemovePartials(t *testing.T) {
	d := newDir(t)
	removes := func(when string, want ...string) {
		t.Helper()
		got, err := d.RemovePartials(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: removed %q and %v, want %q", when, got, err, want)
		}
	}
	removes("nothing there")

	abandoned := "rolling_a_20200101T000000Z.db.zst.part"
	put(t, d, abandoned, []byte("half a snapshot"))
	own := nameA()
	own.Node = "own"
	p, err := d.Create(t.Context(), own)
	must(t, err)
	kill := writerProcess(t, d)
	removes("with two writers", abandoned)

	kill()
	removes("the other process was killed", nameA().String()+".part")
	must(t, p.Commit(t.Context()))
	removes("all is done")
	if got := in(t, d); !slices.Equal(got, []string{own.String()}) {
		t.Errorf("there are %q, want %s", got, own)
	}
}

// Partial files of another user, which only root can remove, block nobody.
func TestRemovePartialsSkipsFilesOfOtherUsers(t *testing.T) {
	d := newDir(t)
	others, own := "rolling_a_20200101T000000Z.db.zst.part", "rolling_b_20200101T000000Z.db.zst.part"
	put(t, d, others, nil)
	put(t, d, own, nil)
	must(t, os.Chown(filepath.Join(d.Path(), own), nobody, nobody))
	asNobody(t, d.Path(), func() {
		removed, err := d.RemovePartials(t.Context())
		if err != nil || !slices.Equal(removed, []string{own}) {
			t.Errorf("removed %q and %v, want %s", removed, err, own)
		}
	})
	if got := in(t, d); !slices.Equal(got, []string{others}) {
		t.Errorf("left are %q", got)
	}
}

// RemovePartials removes the scratch file of a crashed process. It keeps young ones, which may be in use, and files with content
// or another name.
func TestRemovePartialsRemovesScratch(t *testing.T) {
	d := newDir(t)
	old := time.Now().Add(-2 * time.Hour)
	for name, content := range map[string]string{".verify-1": "", ".verify-2": "", ".verify-3": "mine", ".verify-mine": "", ".verify-": ""} {
		put(t, d, name, []byte(content))
		if name != ".verify-2" {
			must(t, os.Chtimes(filepath.Join(d.Path(), name), old, old))
		}
	}
	must(t, os.Mkdir(filepath.Join(d.Path(), ".verify-4"), 0o700))
	must(t, os.Chtimes(filepath.Join(d.Path(), ".verify-4"), old, old))
	removed, err := d.RemovePartials(t.Context())
	if err != nil || !slices.Equal(removed, []string{".verify-1"}) {
		t.Errorf("removed %q and %v", removed, err)
	}
	if got := in(t, d); !slices.Equal(got, []string{".verify-", ".verify-2", ".verify-3", ".verify-4", ".verify-mine"}) {
		t.Errorf("left are %q", got)
	}
	l, err := d.List()
	must(t, err)
	if !slices.Equal(l.Foreign, []string{".verify-", ".verify-3", ".verify-4", ".verify-mine"}) {
		t.Errorf("foreign are %q", l.Foreign)
	}
}

func TestOneWriterForAName(t *testing.T) {
	d := newDir(t)
	taken := func(when, why string) {
		t.Helper()
		if _, err := d.Create(t.Context(), nameA()); !errors.Is(err, snapshot.ErrExists) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want ErrExists and %q", when, err, why)
		}
	}
	kill := writerProcess(t, d)
	taken("another process writes it", "another process is writing "+nameA().String()+": wait until it exits")
	kill()
	taken("nobody has cleaned up", nameA().String()+".part is in the way, left by a process that died or by another user: remove it")
	_, err := d.RemovePartials(t.Context())
	must(t, err)

	var wg sync.WaitGroup
	parts := make([]*snapshot.Part, 8)
	errs := make([]error, len(parts))
	for i := range parts {
		wg.Go(func() { parts[i], errs[i] = d.Create(t.Context(), nameA()) })
	}
	wg.Wait()
	won := slices.Index(errs, nil)
	for i, err := range errs {
		if i != won && !errors.Is(err, snapshot.ErrExists) {
			t.Errorf("writer %d: %v, want ErrExists", i, err)
		}
	}
	if won < 0 {
		t.Fatal("none of the writers may write")
	}
	_, err = parts[won].Write([]byte("first"))
	must(t, err)
	must(t, parts[won].Commit(t.Context()))
	taken("it is there", nameA().String())
	contains(t, d, nameA(), "first")
}

// contains demands that the directory holds this snapshot and nothing else.
func contains(t *testing.T, d *snapshot.Dir, n snapshot.Name, content string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.Path(), n.String()))
	if err != nil || string(b) != content {
		t.Errorf("%s holds %q and %v, want %q", n, b, err, content)
	}
	if got := in(t, d); !slices.Equal(got, []string{n.String()}) {
		t.Errorf("there are %q, want %s", got, n)
	}
}

// A snapshot that gets the name while this one is being written stays, however it got there.
func TestCommitNeverOverwrites(t *testing.T) {
	for _, link := range []bool{false, true} {
		d := newDir(t)
		p, err := d.Create(t.Context(), nameA())
		must(t, err)
		if link {
			target := filepath.Join(t.TempDir(), "target")
			must(t, os.WriteFile(target, []byte("precious"), 0o600))
			must(t, os.Symlink(target, filepath.Join(d.Path(), nameA().String())))
		} else {
			put(t, d, nameA().String(), []byte("precious"))
		}
		if err := p.Commit(t.Context()); !errors.Is(err, snapshot.ErrExists) {
			t.Errorf("link %t: %v, want ErrExists", link, err)
		}
		contains(t, d, nameA(), "precious")
	}
}

func TestPartIsUnlistedUntilCommit(t *testing.T) {
	d := newDir(t)
	p, err := d.Create(t.Context(), nameA())
	must(t, err)
	_, err = p.Write([]byte("content"))
	must(t, err)
	l, err := d.List()
	must(t, err)
	if len(l.Snapshots) != 0 || !slices.Equal(l.Partials, []string{nameA().String() + ".part"}) {
		t.Errorf("before Commit: %+v", l)
	}
	must(t, p.Commit(t.Context()))
	contains(t, d, nameA(), "content")
}

func TestAbortLeavesNothing(t *testing.T) {
	d := newDir(t)
	p, err := d.Create(t.Context(), nameA())
	must(t, err)
	must(t, p.Abort())
	p, err = d.Create(t.Context(), nameA())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v, want context.Canceled", err)
	}
	if got := in(t, d); len(got) != 0 {
		t.Errorf("left are %q", got)
	}
}
