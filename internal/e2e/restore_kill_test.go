package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

const restoreKills = 250

// What a kill of a restore fell into, as the disk shows afterwards.
const (
	stagedNothing = "before anything was made"
	stagedSome    = "while the new data was built"
	betweenMoves  = "just before old and new traded places"
	inPlace       = "after the renames"
)

// A restore that is killed at any moment, by kill -9, leaves the old data whole under its own name, or the new data complete
// there and the old one aside: the target is never missing; and of what it was building nothing outlives the next restore.
func TestRestoreKilledAtRandomMoments(t *testing.T) {
	b, r := newRestoreBed(t), random(t)
	var span time.Duration
	for range 3 {
		b.reset()
		began := time.Now()
		b.start().demand(t, 0)
		span = max(span, time.Since(began))
		b.want = tree(t, b.data)
	}
	span += span / 10
	for round := range restoreKills {
		b.reset()
		delay := time.Duration(r.Int64N(int64(span)))
		p := b.start()
		b.killAfter(p, delay)
		b.judge()
		if t.Failed() {
			t.Fatalf("round %d, killed after %s; in the directory: %s\n%s", round, delay, files(t, b.parent), p.stderr.String())
		}
	}
	t.Logf("%d kills within %s of the start: %v", restoreKills, span.Round(time.Millisecond), b.hits)
	for _, phase := range []string{stagedNothing, stagedSome, inPlace} {
		if b.hits[phase] == 0 {
			t.Errorf("no kill fell %s: the test proves little", phase)
		}
	}
	b.wantClean()
}

// The moment in which old and new trade places is short: there the kernel kills.
func TestRestoreKilledAtItsRenames(t *testing.T) {
	b := newRestoreBed(t)
	b.reset()
	b.start().demand(t, 0)
	b.want = tree(t, b.data)
	b.reset()
	if status := b.strace("-e", "trace=renameat2", "-e", "inject=renameat2:signal=SIGKILL").ended(t); status == 0 {
		t.Fatal("nothing traded places")
	}
	b.judge()
	if b.hits[betweenMoves] != 1 {
		t.Errorf("the kill fell %v", b.hits)
	}
	b.wantClean()
}

// A disk that fails while the data is written or brought to it is told as what it is, and changes nothing.
func TestRestoreOnAFailingDisk(t *testing.T) {
	b := newRestoreBed(t)
	for _, fault := range []string{"fdatasync:error=EIO", "fsync:error=EIO", "fallocate:error=ENOSPC", "fchownat:error=EPERM", "renameat:error=EIO", "renameat2:error=EIO"} {
		b.reset()
		name, _, _ := strings.Cut(fault, ":")
		p := b.strace("-e", "trace="+name, "-e", "inject="+fault)
		if status := p.ended(t); status != 1 {
			t.Errorf("%s: exit status %d\n%s", fault, status, p.stderr.String())
		}
		p.wantOneErrorLine(t)
		t.Log(fault, p.stderr.String())
		wantTree(t, b.data, b.before)
		if left := files(t, b.parent); !slices.Equal(left, []string{"data"}) {
			t.Errorf("%s: left behind: %s", fault, left)
		}
	}
}

// restoreBed restores one snapshot again and again over data that is there.
type restoreBed struct {
	t            *testing.T
	archive      string
	parent, data string
	before, want []string // the old data, and the new, as tree lists them
	hits         map[string]int
}

func newRestoreBed(t *testing.T) *restoreBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	b := &restoreBed{t: t, archive: saved(t, c), parent: t.TempDir(), hits: map[string]int{}}
	b.data = filepath.Join(b.parent, "data")
	return b
}

// reset puts old data in its place, and leaves what a killed restore was building.
func (b *restoreBed) reset() {
	b.t.Helper()
	for _, name := range files(b.t, b.parent) {
		if !strings.HasPrefix(name, "data.restore-") {
			must(b.t, os.RemoveAll(filepath.Join(b.parent, name)))
		}
	}
	oldData(b.t, b.data)
	b.before = tree(b.t, b.data)
}

// oldData is laid out as etcd does it, of another owner.
func oldData(t testing.TB, dir string) {
	t.Helper()
	for _, name := range []string{"member/snap/db", "member/wal/0.wal", "notes"} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("old "+name), 0o600))
	}
}

func (b *restoreBed) args() []string {
	return []string{"restore", b.archive, "--data-dir=" + b.data, "--replace"}
}

func (b *restoreBed) start() *process { return launch(b.t, exec.Command(lean, b.args()...)) }

func (b *restoreBed) strace(flags ...string) *process {
	return launch(b.t, exec.Command("strace", slices.Concat([]string{"-f", "-qq", "-o", "/dev/null"}, flags, []string{lean}, b.args())...))
}

func (b *restoreBed) killAfter(p *process, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.done:
	}
	p.kill()
}

// judge demands what has to hold after a kill at any moment, and counts where it fell.
func (b *restoreBed) judge() {
	b.t.Helper()
	var staged, aside []string
	for _, name := range files(b.t, b.parent) {
		path := filepath.Join(b.parent, name)
		switch {
		case strings.HasPrefix(name, "data.restore-"):
			staged = append(staged, path)
		case strings.HasPrefix(name, "data.before-restore-"):
			aside = append(aside, path)
		case name != "data":
			b.t.Errorf("%s is there", name)
		}
	}
	if len(staged) > 1 || len(aside) > 1 {
		b.t.Fatalf("too much is left: %s %s", staged, aside)
	}
	if len(aside) == 0 {
		wantTree(b.t, b.data, b.before)
		b.hits[map[bool]string{true: stagedSome, false: stagedNothing}[len(staged) > 0]]++
		return
	}
	if slices.Equal(tree(b.t, b.data), b.before) {
		wantTree(b.t, aside[0], b.want)
		b.hits[betweenMoves]++
		return
	}
	wantTree(b.t, aside[0], b.before)
	wantTree(b.t, b.data, b.want)
	b.hits[inPlace]++
}

// wantClean lets a restore end well, after which there is nothing else.
func (b *restoreBed) wantClean() {
	b.t.Helper()
	b.reset()
	b.start().demand(b.t, 0)
	b.judge()
	if left := files(b.t, b.parent); len(left) != 2 {
		b.t.Errorf("after a restore that was left alone there are: %s", left)
	}
}
