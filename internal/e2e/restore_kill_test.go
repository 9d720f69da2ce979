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

// A restore that is killed at any moment, by kill -9, leaves the old data complete under its own name, or the new data complete there and
// the old data aside: the target is never missing. What it was building is removed by the next restore.
func TestKilledRestoreLeavesOldOrNewData(t *testing.T) {
	parallel(t)
	b, r := newRestoreBed(t), random(t)
	phases := []string{stagedNothing, stagedSome, inPlace}
	var span time.Duration
	for round := 0; round < restoreKills || missed(b.hits, phases) != ""; round++ {
		if round == 10*restoreKills {
			t.Fatalf("none of %d kills fell %s: the test proves little", round, missed(b.hits, phases))
		}
		if round%recalibrate == 0 {
			span = b.calibrate()
		}
		b.reset()
		delay := time.Duration(r.Int64N(int64(span)))
		p := b.start()
		p.killAfter(delay)
		b.judge()
		if t.Failed() {
			t.Fatalf("round %d, killed after %s; in the directory: %s\n%s", round, delay, files(t, b.data), p.stderr.String())
		}
	}
	t.Logf("kills within %s of the start: %v", span.Round(time.Millisecond), b.hits)
	b.wantClean()
}

// The moment in which old and new trade places is short: there the kernel kills.
func TestRestoreKilledAtItsRenamesLeavesOldData(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	b.reset()
	b.start().demand(t, 0)
	b.want = restoredTree(t, b.member())
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
func TestRestoreOnAFailingDiskChangesNothing(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	for _, fault := range []string{"fdatasync:error=EIO", "fsync:error=EIO", "fallocate:error=ENOSPC", "fchown:error=EPERM", "renameat:error=EIO", "renameat2:error=EIO"} {
		b.reset()
		name, _, _ := strings.Cut(fault, ":")
		p := b.strace("-e", "trace="+name, "-e", "inject="+fault)
		if status := p.ended(t); status != 1 {
			t.Errorf("%s: exit status %d\n%s", fault, status, p.stderr.String())
		}
		p.wantOneErrorLine(t)
		t.Log(fault, p.stderr.String())
		wantTree(t, b.member(), b.before)
		if left := files(t, b.data); !slices.Equal(left, []string{"member", "notes"}) {
			t.Errorf("%s: left behind: %s", fault, left)
		}
	}
}

// If the directory can't be synced after old and new data have traded places, that is a warning: the restore has succeeded, and the way
// back is shown. A file system that can't sync directories is no failure.
func TestRestoreSucceedsWhenTheLastSyncFails(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	for fault, says := range map[string]string{
		"fsync:error=EIO":    "warning: a power loss could undo the restore: sync directory " + b.data,
		"fsync:error=EINVAL": "",
	} {
		b.reset()
		p := b.strace("-e", "trace=fsync", "-e", "inject="+fault, "-P", b.data)
		p.demand(t, 0, "restored "+b.data, "moved aside", "to go back", says)
		if out := p.stderr.String(); (says != "") != strings.Contains(out, "could undo the restore") {
			t.Errorf("%s: stderr is\n%s", fault, out)
		}
		b.want = restoredTree(t, b.member())
		b.judge()
	}
	b.wantClean()
}

// restoreBed restores one snapshot again and again over data that is there.
type restoreBed struct {
	t            *testing.T
	archive      string
	data         string
	before, want []string // the old member as tree lists it, and the new one as restoredTree does
	hits         map[string]int
}

func newRestoreBed(t *testing.T) *restoreBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	return &restoreBed{t: t, archive: saved(t, c), data: target(t), hits: map[string]int{}}
}

func (b *restoreBed) member() string { return filepath.Join(b.data, "member") }

// calibrate measures how long a restore takes at this hour, and returns a little more.
func (b *restoreBed) calibrate() time.Duration {
	b.t.Helper()
	var longest time.Duration
	for range 3 {
		b.reset()
		began := time.Now()
		b.start().demand(b.t, 0)
		longest = max(longest, time.Since(began))
		b.want = restoredTree(b.t, b.member())
	}
	return longest + longest/10
}

// reset puts old data in its place, and leaves what a killed restore was building.
func (b *restoreBed) reset() {
	b.t.Helper()
	for _, name := range files(b.t, b.data) {
		if !strings.HasPrefix(name, "member.restore-") {
			must(b.t, os.RemoveAll(filepath.Join(b.data, name)))
		}
	}
	oldData(b.t, b.data)
	b.before = tree(b.t, b.member())
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

// judge demands what has to hold after a kill at any moment, and counts where it fell.
func (b *restoreBed) judge() {
	b.t.Helper()
	var staged, aside []string
	for _, name := range files(b.t, b.data) {
		path := filepath.Join(b.data, name)
		switch {
		case strings.HasPrefix(name, "member.restore-"):
			staged = append(staged, path)
		case strings.HasPrefix(name, "member.before-restore-"):
			aside = append(aside, path)
		case name != "member" && name != "notes":
			b.t.Errorf("%s is there", name)
		}
	}
	if len(staged) > 1 || len(aside) > 1 {
		b.t.Fatalf("too much is left: %s %s", staged, aside)
	}
	if len(aside) == 0 {
		wantTree(b.t, b.member(), b.before)
		b.hits[map[bool]string{true: stagedSome, false: stagedNothing}[len(staged) > 0]]++
		return
	}
	if slices.Equal(tree(b.t, b.member()), b.before) {
		wantRestoredTree(b.t, aside[0], b.want)
		b.hits[betweenMoves]++
		return
	}
	wantTree(b.t, aside[0], b.before)
	wantRestoredTree(b.t, b.member(), b.want)
	b.hits[inPlace]++
}

// wantClean lets a restore end well, after which there is nothing else.
func (b *restoreBed) wantClean() {
	b.t.Helper()
	b.reset()
	b.start().demand(b.t, 0)
	b.judge()
	if left := files(b.t, b.data); len(left) != 3 {
		b.t.Errorf("after a restore that was left alone there are: %s", left)
	}
}
