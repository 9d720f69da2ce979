package restore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a dead restore left is removed, at whatever stage it died. The files of a running restore, of another target, and files
// that only have such a name stay.
func TestStagesOfDeadRestoresAreRemoved(t *testing.T) {
	parent := t.TempDir()
	living, err := newStage(parent, "data")
	must(t, err)
	dead, err := newStage(parent, "data")
	must(t, err)
	must(t, os.MkdirAll(dead.path()+"/member/wal", 0o700))
	must(t, dead.lock.Close())
	other, err := newStage(parent, "data2")
	must(t, err)
	must(t, other.lock.Close())
	for _, name := range []string{"data.restore-1", "data.restore-2/mine", "data.restore-me", "data.restore-3.old"} {
		must(t, os.MkdirAll(filepath.Join(parent, name), 0o700))
	}
	next, err := newStage(parent, "data")
	must(t, err)
	for path, want := range map[string]bool{
		living.dir: true, dead.dir: false, other.dir: true, next.dir: true, parent + "/data.restore-1": false,
		parent + "/data.restore-2/mine": true, parent + "/data.restore-me": true, parent + "/data.restore-3.old": true,
	} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it to be there: %t", path, err, want)
		}
	}
	must(t, next.discard())
	must(t, living.discard())

	// Names are no patterns.
	strange, err := newStage(parent, `a[*?\]b`)
	must(t, err)
	must(t, strange.lock.Close())
	again, err := newStage(parent, `a[*?\]b`)
	must(t, err)
	must(t, again.discard())
	if left, err := filepath.Glob(parent + `/a\[*`); err != nil || len(left) > 0 {
		t.Errorf("left: %s (%v)", left, err)
	}
}

// A staging directory that can't be removed after the restore is a warning with its path. The next restore says so too, or removes it.
func TestRestoreSucceedsWhenItsStageCannotBeRemoved(t *testing.T) {
	dir := t.TempDir()
	occupied(t, dir+"/data")
	must(t, os.Mkdir(dir+"/disk", 0o700))
	o := Options{DataDir: dir + "/data", WALDir: dir + "/disk/wal", Replace: true}
	p, err := Prepare(t.Context(), given{data: database(t, 3)}, o, noon)
	must(t, err)
	defer p.Close()
	data, err := p.data.stage()
	must(t, err)
	wal, err := p.wal.stage()
	must(t, err)
	stage := data.dir
	mounted(t, "tmpfs", stage+"/busy", "tmpfs", 0, "")
	done, err := p.runIn(t.Context(), data, wal)
	must(t, err)
	wantWarning(t, done, stage)
	wantData(t, dir+"/data", false)

	again := func(at time.Time) Done {
		p, err := Prepare(t.Context(), given{data: database(t, 3)}, o, at)
		must(t, err)
		defer p.Close()
		done, err := p.Run(t.Context())
		must(t, err)
		return done
	}
	wantWarning(t, again(noon.Add(time.Minute)), stage)
	must(t, unix.Unmount(stage+"/busy", 0))
	if done := again(noon.Add(time.Hour)); len(done.Warnings) > 0 {
		t.Errorf("warnings: %v", done.Warnings)
	}
	if left, err := filepath.Glob(dir + "/data/member.restore-*"); err != nil || len(left) > 0 {
		t.Errorf("left: %s (%v)", left, err)
	}
}

func wantWarning(t testing.TB, done Done, path string) {
	t.Helper()
	if len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0].Error(), path) {
		t.Errorf("the warnings are %v, want one with %s", done.Warnings, path)
	}
}

// What a restore left next to the data directory before that existed is removed too.
func TestStageNextToTheDataDirectoryIsRemoved(t *testing.T) {
	dir := t.TempDir()
	dead, err := newStage(dir, "data")
	must(t, err)
	must(t, dead.lock.Close())
	must(t, os.Mkdir(dir+"/data", 0o700))
	_, err = restored(t, given{data: database(t, 3)}, Options{DataDir: dir + "/data"})
	must(t, err)
	wantNames(t, dir, "data")
}

// Any user may lock a directory that all can read, such as /var/lib. A restore does not wait for that.
func TestLockOfTheParentIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = restored(t, given{data: database(t, 3)}, Options{DataDir: dir + "/data"})
	must(t, err)
	wantNames(t, dir, "data")
}

// A staging directory that another restore removes or locks before its own lock is created again.
func TestTakenStageIsGivenUp(t *testing.T) {
	parent := t.TempDir()
	at, err := openDir(parent)
	must(t, err)
	defer at.Close()
	before := names(t, "/proc/self/fd")
	for name, lock := range map[string]func(dir string) func(int, int) error{
		"being removed": func(string) func(int, int) error { return func(int, int) error { return unix.EWOULDBLOCK } },
		"removed":       func(dir string) func(int, int) error { return func(int, int) error { return os.Remove(dir) } },
		"another one of its name": func(dir string) func(int, int) error {
			return func(int, int) error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)) }
		},
	} {
		dir := filepath.Join(parent, "data.restore-1")
		must(t, os.Mkdir(dir, 0o700))
		if s, err := mark(at, filepath.Base(dir), lock(dir)); !errors.Is(err, errTaken) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
		must(t, errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+".old")))
	}
	if s, err := mark(at, "missing", unix.Flock); !errors.Is(err, errTaken) || s != nil {
		t.Errorf("missing: %v", err)
	}
	wantNames(t, "/proc/self/fd", before)
}

// Restores of the same target at the same time never take each other's staging directory.
func TestRestoresAtTheSameTimeKeepTheirStages(t *testing.T) {
	parent := t.TempDir()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				s, err := newStage(parent, "data")
				if err != nil {
					t.Error(err)
					return
				}
				if !s.exists() {
					t.Errorf("%s was taken", s.dir)
				}
				if err := s.discard(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	wantNames(t, parent, "")
}

// A staging directory that cannot be locked, as on a file system without locks, is removed.
func TestStageWithoutLocks(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "data.restore-1")
	must(t, os.Mkdir(dir, 0o700))
	at, err := openDir(parent)
	must(t, err)
	defer at.Close()
	before := names(t, "/proc/self/fd")
	_, err = mark(at, filepath.Base(dir), func(int, int) error { return unix.ENOLCK })
	refused(t, "lock", err, unix.ENOLCK, dir)
	wantNames(t, parent, "")
	wantNames(t, "/proc/self/fd", before)
}

// A process that has locked the database, like etcd, is named; after it exits the directory is free. The check itself does not
// take the lock.
func TestProcessThatHoldsTheDatabaseIsNamed(t *testing.T) {
	dir := t.TempDir()
	must(t, checkFree(dir))
	occupied(t, dir)
	must(t, checkFree(dir))
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolderChild$")
	cmd.Env = append(os.Environ(), "HOLD="+dir+"/member/snap/db")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	must(t, err)
	for range 2 {
		refused(t, "held", checkFree(dir), ErrHeld, "process "+strconv.Itoa(cmd.Process.Pid)+" (restore.test) has its database open: stop it first")
	}
	_, err = restored(t, given{data: database(t, 1)}, Options{DataDir: dir, Replace: true})
	refused(t, "restore", err, ErrHeld)
	must(t, in.Close())
	must(t, cmd.Wait())
	must(t, checkFree(dir))
}

// TestHolderChild is the process that holds a file, until its input ends.
func TestHolderChild(t *testing.T) {
	path := os.Getenv("HOLD")
	if path == "" {
		return // run as a test it has nothing to do
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = os.Stdout.WriteString("held\n")
	must(t, err)
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is an error
	must(t, f.Close())
}

// An etcd that is started between the plan and its run is detected before anything is renamed.
func TestRunRefusesEtcdStartedAfterThePlan(t *testing.T) {
	dir := t.TempDir()
	occupied(t, dir+"/data")
	p, err := Prepare(t.Context(), given{data: database(t, 1)}, Options{DataDir: dir + "/data", Replace: true}, noon)
	must(t, err)
	defer p.Close()
	f, err := os.OpenFile(dir+"/data/member/snap/db", os.O_RDWR, 0)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = p.Run(t.Context())
	refused(t, "run", err, ErrHeld, "process "+strconv.Itoa(os.Getpid()))
	must(t, f.Close())
	wantNames(t, dir+"/data", "member")
	_, err = p.Run(t.Context())
	must(t, err)
	wantData(t, dir+"/data", false)
}

func TestParseOwner(t *testing.T) {
	for text, want := range map[string]string{
		"root": "0:0", "root:daemon": "0:1", "0:daemon": "0:1", "daemon": "1:1", "daemon:": "", "4711": "4711:4711", "4711:12": "4711:12", "0": "0:0",
		"": "", "nobody-here": "", "root:nobody-here": "", "-1": "", "0:-1": "", ":0": "", "1:2:3": "", "4294967295": "",
	} {
		o, err := ParseOwner(text)
		got := strconv.Itoa(o.UID) + ":" + strconv.Itoa(o.GID)
		switch {
		case want == "":
			refused(t, text, err, ErrOwner, "--chown")
		case err != nil || got != want:
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	if got := (Owner{0, 4711}).String(); got != "root:4711" {
		t.Errorf("root of group 4711 is %s", got)
	}
}

// Some file systems share blocks, tmpfs never does; where no file can be created, the result is the larger number.
func TestCopies(t *testing.T) {
	if got := copies("/dev/shm"); got != 2 {
		t.Errorf("on a tmpfs the database lies %d times", got)
	}
	if got := copies(t.TempDir() + "/missing"); got != 2 {
		t.Errorf("in no directory the database lies %d times", got)
	}
	if names := names(t, "/dev/shm"); strings.Contains(names, ".scratch") {
		t.Errorf("left behind: %s", names)
	}
}
