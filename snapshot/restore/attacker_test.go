package restore

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// etcdUser owns the data directory and what is around it, and attacks the restore of root.
const etcdUser = 4711

// land is a directory of etcdUser next to one of root that must not change.
type land struct{ owned, victim string }

func newLand(t testing.TB) land {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // made by testing, for this test
	must(t, os.Chmod(dir, 0o755))
	l := land{owned: dir + "/owned", victim: dir + "/victim"}
	occupied(t, l.owned+"/data")
	must(t, filepath.WalkDir(l.owned, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		return os.Chown(path, etcdUser, etcdUser)
	}))
	// All names that a restore may use.
	for _, name := range []string{"", "/new", "/data"} {
		occupied(t, l.victim+name)
		must(t, os.WriteFile(l.victim+name+"/"+stageMark, []byte("root's"), 0o600))
	}
	return l
}

// attack runs a command as etcdUser.
func (l land) attack(t testing.TB, format string, args ...any) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", fmt.Sprintf(format, args...))
	cmd.Dir = l.owned
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: etcdUser, Gid: etcdUser}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out)
	}
}

// state describes the owner, mode and content of each file of root.
func (l land) state(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(l.victim, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		var s unix.Stat_t
		must(t, unix.Lstat(path, &s))
		fmt.Fprintf(&b, "%s %o %d:%d", strings.TrimPrefix(path, l.victim), s.Mode, s.Uid, s.Gid)
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			must(t, err)
			fmt.Fprintf(&b, " %q", text)
		}
		b.WriteByte('\n')
		return nil
	}))
	return b.String()
}

func (l land) wantUntouched(t testing.TB, before string) {
	t.Helper()
	if after := l.state(t); after != before {
		t.Errorf("root's directory was\n%sand is\n%s", before, after)
	}
}

// Whoever owns the data directory exchanges it, or the staging directory, for a link to a directory of root, between any two steps. What
// is root's stays as it is.
func TestRootRestoresNowhereElse(t *testing.T) {
	swaps := map[string]string{
		"stage":          "mv data/%[1]s data/gone && ln -s %[2]s data/%[1]s",
		"data directory": "mv data gone && ln -s %[2]s data",
		"existing data":  "mv data/member data/gone && ln -s %[2]s data/member",
	}
	for what, swap := range swaps {
		for _, moment := range []string{"planned", "staged", "built", "given", "installed", "settled"} {
			t.Run(what+" after "+moment, func(t *testing.T) {
				l := newLand(t)
				before := l.state(t)
				owner := Owner{etcdUser, etcdUser}
				p, err := Prepare(t.Context(), given{data: database(t, 3)}, Options{DataDir: l.owned + "/data", Replace: true, Owner: &owner}, noon)
				must(t, err)
				defer p.Close()
				var s *stage
				now := func(reached string) {
					if moment != reached {
						return
					}
					name := memberDir + stageInfix + "1" // before there is one
					if s != nil {
						name = s.name
					} else if what == "stage" {
						l.attack(t, "mkdir data/%s", name)
					}
					l.attack(t, swap, name, l.victim)
				}
				steps := l.restore(t, p, &s, now)
				if s != nil {
					steps = append(steps, s.discard())
				}
				t.Logf("the steps: %v", steps)
				l.wantUntouched(t, before)
			})
		}
	}
}

// restore is Run in single steps, up to the first error.
func (land) restore(t *testing.T, p *Plan, s **stage, now func(string)) []error {
	var done Done
	var changes []change
	for _, step := range []struct {
		reached string
		do      func() error
	}{
		{"planned", func() (err error) { *s, err = p.data.stage(); return err }},
		{"staged", func() error { return p.build(t.Context(), *s, nil) }},
		{"built", func() error { return giveAndSync((*s).root, stageNew, p.Owner) }},
		{"given", func() error {
			changes = []change{p.data.change(*s, filepath.Join(stageNew, p.data.built))}
			return install(changes)
		}},
		{"installed", func() error { p.settle(changes, &done); return nil }},
		{"settled", func() error { return nil }},
	} {
		now(step.reached)
		if err := step.do(); err != nil {
			return append(done.Warnings, err)
		}
	}
	return done.Warnings
}

// A staging directory that was exchanged before it was opened is refused.
func TestReplacedStageIsRefused(t *testing.T) {
	for what, swap := range map[string]string{
		"a link":                    "mv stage gone && ln -s %s stage",
		"a directory of the user":   "mv stage gone && mkdir -m 700 stage # %s",
		"a directory with a file":   "mv stage gone && mkdir -m 755 stage && touch stage/x # %s",
		"a pipe":                    "mv stage gone && mkfifo stage # %s",
		"a directory all may write": "mv stage gone && mkdir -m 777 stage # %s",
	} {
		l := newLand(t)
		before := l.state(t)
		at, err := openDir(l.owned)
		must(t, err)
		must(t, os.Mkdir(l.owned+"/stage", 0o700))
		l.attack(t, swap, l.victim)
		if s, err := mark(at, "stage", unix.Flock); err == nil || s != nil {
			t.Errorf("%s was accepted", what)
		}
		must(t, at.Close())
		l.wantUntouched(t, before)
	}
}

// A restore into a directory that was replaced meanwhile is an error: nobody would find the data.
func TestReplacedDataDirectoryIsReported(t *testing.T) {
	for what, swap := range map[string]string{"a link": "mv data gone && ln -s %s data", "another directory": "mv data gone && mkdir data # %s"} {
		l := newLand(t)
		before := l.state(t)
		p, err := Prepare(t.Context(), given{data: database(t, 3)}, Options{DataDir: l.owned + "/data", Replace: true}, noon)
		must(t, err)
		s, err := p.data.stage()
		must(t, err)
		l.attack(t, swap, l.victim)
		_, err = p.runIn(t.Context(), s, &stage{})
		refused(t, what, err, errReplaced, l.owned+"/data")
		wantNames(t, l.owned+"/gone", "member")
		wantData(t, l.owned+"/gone", true)
		l.wantUntouched(t, before)
		p.Close()
	}
}

// What looks like the leftover of a dead restore may be a trap.
func TestSweepLeavesWhatLinksLeadTo(t *testing.T) {
	l := newLand(t)
	before := l.state(t)
	l.attack(t, "cd data; ln -s %[1]s member.restore-1; mkdir -p member.restore-2/deep; touch member.restore-2/%[2]s; "+
		"ln -s %[1]s member.restore-2/link; ln -s %[1]s member.restore-2/deep/link; mkdir member.restore-3; ln -s %[1]s/%[2]s member.restore-3/%[2]s", l.victim, stageMark)
	_, err := restored(t, given{data: database(t, 3)}, Options{DataDir: l.owned + "/data", Replace: true})
	must(t, err)
	wantNames(t, l.owned+"/data", "member member"+aside+" member.restore-1")
	l.wantUntouched(t, before)
}

// A link of etcd's user must not make root exchange a directory of root. Links of root are followed, and those between the user's own.
func TestLinkToSomebodyElsesDirectoryIsRefused(t *testing.T) {
	in := given{data: database(t, 3)}
	for what, link := range map[string]string{
		"log":            "rm -r data/member/wal && ln -s %s data/member/wal",
		"database":       "rm -r data/member/snap && ln -s %s data/member/snap",
		"member":         "rm -r data/member && ln -s %s data/member",
		"data directory": "rm -r data && ln -s %s data",
	} {
		l := newLand(t)
		before := l.state(t)
		l.attack(t, link, l.victim+"/new")
		_, err := restored(t, in, Options{DataDir: l.owned + "/data", Replace: true})
		refused(t, what, err, ErrTarget, "chown -h root "+l.owned+"/data")
		l.wantUntouched(t, before)
	}
	l := newLand(t)
	l.attack(t, "mv data real && ln -s $PWD/real data")
	_, err := restored(t, in, Options{DataDir: l.owned + "/data", Replace: true})
	must(t, err)
	wantData(t, l.owned+"/real", false)
}

// A pipe where a file of etcd should be is an error, and nothing waits for its other end.
func TestPipesAreNotWaitedFor(t *testing.T) {
	l := newLand(t)
	l.attack(t, "rm data/member/wal/0.wal && mkfifo data/member/wal/0.wal")
	p, err := Prepare(t.Context(), given{data: database(t, 3)}, Options{DataDir: l.owned + "/data", Replace: true}, noon)
	must(t, err)
	defer p.Close()
	if _, err := p.Existing(); err == nil || !strings.Contains(err.Error(), "0.wal is not a file") {
		t.Errorf("the log's file is a pipe: %v", err)
	}
	l.attack(t, "rm data/member/snap/db && mkfifo data/member/snap/db")
	if err := checkFree(l.owned + "/data"); err == nil || !strings.Contains(err.Error(), "db is not a file") {
		t.Errorf("the database is a pipe: %v", err)
	}
}
