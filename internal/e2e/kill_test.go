package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

const (
	kills = 300
	// enoughKills is when a phase into which no kill has fallen can't be a matter of luck.
	enoughKills = 10 * kills
	// recalibrate is after how many kills the length of a run is measured again, because the machine gets busier and quieter.
	recalibrate = 50
	keepLast    = 3
	// surplus is how many snapshots above keepLast stand ready for each run, so that pruning takes a while.
	surplus = 6
)

// A process killed at any moment, by kill -9, leaves whole snapshots and at most a partial, which the next start removes.
// Each round starts a daemon that takes a snapshot at once and prunes, or a save, and kills it at a random moment.
func TestKilledDaemonLeavesOnlyValidSnapshots(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	b := &killBed{
		t: t, r: random(t), dir: newStore(t), flags: flags(c, c.Members[0].Endpoint),
		hits: map[string]int{}, proven: map[string]bool{},
	}
	phases := []string{beforePart, withPart, whilePruning, afterAll, partialsRemoved}
	var span time.Duration
	for round := 0; round < kills || missed(b.hits, phases) != ""; round++ {
		if round == enoughKills {
			t.Fatalf("none of %d kills fell %s: the test proves little", round, missed(b.hits, phases))
		}
		if round%recalibrate == 0 {
			span = b.calibrate()
		}
		b.age()
		before, abandoned := listed(t, b.dir), b.partials()
		delay := time.Duration(b.r.Int64N(int64(span)))
		p := b.start(round)
		p.killAfter(delay)
		b.judge(p, before, abandoned)
		if t.Failed() {
			t.Fatalf("round %d, killed after %s; in the directory: %s\n%s", round, delay, files(t, b.dir), p.stderr.String())
		}
	}
	t.Logf("kills within %s of the start: %v", span.Round(time.Millisecond), b.hits)

	b.age()
	p := launch(t, b.daemon())
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	if left := b.partials(); len(left) > 0 {
		t.Errorf("partials after a run that was left alone: %s", left)
	}
	rolling := slices.DeleteFunc(listed(t, b.dir), func(e snapshot.Entry) bool { return !e.Name.Rolling(node) })
	if len(rolling) != keepLast {
		t.Errorf("%d rolling snapshots at the end, want %d", len(rolling), keepLast)
	}
	wantWhole(t, b.dir, len(listed(t, b.dir)))
}

// What a kill fell into, as the directory and the log show afterwards.
const (
	beforePart      = "before the partial was made"
	withPart        = "while the partial was written"
	afterRename     = "after the rename, before pruning"
	whilePruning    = "while pruning"
	afterAll        = "after the end of the run"
	partialsRemoved = "after partials of an earlier kill were removed"
)

// missed is the first of the phases into which no kill has fallen yet.
func missed(hits map[string]int, phases []string) string {
	for _, p := range phases {
		if hits[p] == 0 {
			return p
		}
	}
	return ""
}

type killBed struct {
	t      *testing.T
	r      *rand.Rand
	dir    string
	flags  []string
	aged   int             // snapshots that age has given an old date
	hits   map[string]int  // by phase
	proven map[string]bool // files, by inode and size, that were verified; they never change
}

func (b *killBed) daemon() *exec.Cmd {
	return exec.Command(lean, words("daemon", store(b.dir), b.flags, []string{"--schedule=@every 1h", fmt.Sprint("--keep-last=", keepLast)})...)
}

func (b *killBed) start(round int) *process {
	if round%4 == 3 {
		return launch(b.t, exec.Command(lean, words("save", store(b.dir), b.flags)...))
	}
	return launch(b.t, b.daemon())
}

// calibrate measures how long a run takes on this machine and at this hour, and returns a little more.
func (b *killBed) calibrate() time.Duration {
	var longest time.Duration
	for range 3 {
		b.age()
		began := time.Now()
		p := launch(b.t, b.daemon())
		p.says(b.t, "snapshot saved")
		longest = max(longest, time.Since(began))
		p.kill()
	}
	return longest + longest/5
}

// age gives every snapshot and partial of today a date long ago, so that the next daemon takes one at once and no name comes
// twice, and tops up what there is to prune with further names of a whole one.
func (b *killBed) age() {
	long := func() time.Time {
		b.aged++
		return time.Date(2020, 1, 1, 0, 0, b.aged, 0, time.UTC)
	}
	for _, p := range b.partials() {
		n, err := snapshot.ParseName(strings.TrimSuffix(p, ".part"))
		must(b.t, err)
		n.Time = long()
		must(b.t, os.Rename(filepath.Join(b.dir, p), filepath.Join(b.dir, n.String()+".part")))
	}
	entries := listed(b.t, b.dir)
	for _, e := range slices.Backward(entries) { // oldest first: the order stays
		if e.Name.Time.Year() > 2020 {
			redate(b.t, b.dir, e.Name, long())
		}
	}
	if len(entries) == 0 {
		return
	}
	for n := len(listed(b.t, b.dir)); n < keepLast+surplus; n++ {
		copied, err := snapshot.NewName(snapshot.RollingSet, node, long())
		must(b.t, err)
		must(b.t, os.Link(filepath.Join(b.dir, listed(b.t, b.dir)[0].Name.String()), filepath.Join(b.dir, copied.String())))
	}
}

func (b *killBed) partials() []string {
	return slices.DeleteFunc(files(b.t, b.dir), func(n string) bool { return !strings.HasSuffix(n, ".part") || theStores(n) })
}

// judge demands what has to hold after a kill at any moment, and counts where it fell.
func (b *killBed) judge(p *process, before []snapshot.Entry, abandoned []string) {
	b.t.Helper()
	after := listed(b.t, b.dir)
	for _, e := range after {
		b.prove(e)
	}
	// The newest that there were are there still: a new one may push out one, and only once it is there.
	fresh := slices.ContainsFunc(after, func(e snapshot.Entry) bool { return e.Name.Rolling(node) && e.Name.Time.Year() > 2020 })
	stay := keepLast - 1
	if !fresh {
		stay = len(before)
	}
	for i, e := range before {
		// Their times differ: files that age has linked change with each other.
		if i < stay && !slices.ContainsFunc(after, func(x snapshot.Entry) bool { return x.Name == e.Name && x.Size == e.Size }) {
			b.t.Errorf("%s is gone, a new snapshot is there: %t", e.Name, fresh)
		}
	}
	left := b.partials()
	begun := slices.DeleteFunc(slices.Clone(left), func(n string) bool { return slices.Contains(abandoned, n) })
	started := strings.Contains(p.stderr.String(), "msg=started") || strings.Contains(p.stderr.String(), "started;")
	removed := len(abandoned) > 0 && len(begun) == len(left)
	if (started || len(begun) > 0) && len(abandoned) > 0 && !removed {
		b.t.Errorf("partials %s outlive the start of the next process", abandoned)
	}
	if removed {
		b.hits[partialsRemoved]++
	}
	b.hits[b.phase(p, len(before), len(after), fresh, len(begun) > 0)]++
	b.clear(after)
}

func (b *killBed) phase(p *process, before, after int, fresh, part bool) string {
	switch {
	case part:
		return withPart
	case strings.Contains(p.stderr.String(), "snapshot saved"), strings.Contains(p.stdout.String(), "saved"):
		return afterAll
	case fresh && after == before+1:
		return afterRename
	case fresh:
		return whilePruning
	}
	return beforePart
}

// clear removes what was taken by hand, for retention does not.
func (b *killBed) clear(entries []snapshot.Entry) {
	for _, e := range entries {
		if !e.Name.Rolling(node) {
			must(b.t, os.Remove(filepath.Join(b.dir, e.Name.String())))
		}
	}
}

// prove verifies a file once.
func (b *killBed) prove(e snapshot.Entry) {
	b.t.Helper()
	info, err := os.Stat(filepath.Join(b.dir, e.Name.String()))
	must(b.t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		b.t.Fatal("no inode")
	}
	id := fmt.Sprint(stat.Ino, info.Size(), info.ModTime())
	if b.proven[id] {
		return
	}
	if err := verify(b.dir, e.Name); err != nil {
		b.t.Errorf("after a kill: %v", err)
	}
	b.proven[id] = true
}
