package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// A data directory that an etcd runs on is refused, with the process named, whatever the flags.
func TestRestoreRefusesTheDataOfARunningEtcd(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	m := c.Members[0]
	archive := saved(t, c)
	names := files(t, filepath.Dir(m.DataDir))
	holder := fmt.Sprintf("process %d (etcd) has its database open: stop it first", m.PID())
	for _, more := range [][]string{nil, {"--replace"}, {"--replace", "--dry-run"}} {
		run(t, 1, []string{holder}, words("restore", []string{archive, "--data-dir=" + m.DataDir}, more)...)
	}
	// By a symbolic link as well.
	link := target(t)
	must(t, os.Symlink(m.DataDir, link))
	run(t, 1, []string{holder}, "restore", archive, "--data-dir="+link, "--replace")
	if got := files(t, filepath.Dir(m.DataDir)); !slices.Equal(got, names) {
		t.Errorf("beside the data there was %s, and there is %s", names, got)
	}
	must(t, m.Stop())
	run(t, 0, []string{"moved aside", "to go back"}, "restore", archive, "--data-dir="+m.DataDir, "--replace")
}

// refusal is a restore that has to fail and change nothing in a directory.
type refusal struct {
	name   string
	status int
	words  []string
	flags  []string // beside the snapshot and --data-dir
}

// What is wrong with the target or the members is told in one line, and nothing is changed.
func TestRefusedRestoreChangesNothing(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	dir := t.TempDir()
	old, link, nowhere, file := filepath.Join(dir, "old"), filepath.Join(dir, "link"), filepath.Join(dir, "nowhere"), filepath.Join(dir, "file")
	oldData(t, old)
	must(t, os.Symlink(old, link))
	must(t, os.Symlink(filepath.Join(dir, "missing"), nowhere))
	must(t, os.WriteFile(file, nil, 0o600))
	in := func(path string) string { return "--data-dir=" + path }
	fresh := in(filepath.Join(dir, "fresh"))
	before := tree(t, dir)
	for _, r := range []refusal{
		{"full", 2, []string{old + "/member is not empty", "--replace"}, []string{in(old)}},
		{"a link to a full one", 2, []string{old + "/member is not empty"}, []string{in(link)}},
		{"a link to nowhere", 2, []string{"that does not exist"}, []string{in(nowhere), "--replace"}},
		{"a file", 2, []string{"is not a directory"}, []string{in(file), "--replace"}},
		{"in nothing", 2, []string{"there is no directory " + dir + "/missing"}, []string{in(dir + "/missing/data")}},
		{"in a file", 2, []string{"not a directory"}, []string{in(file + "/data")}},
		{"the root", 2, []string{"use a directory that contains only etcd's data"}, []string{in("/"), "--replace"}},
		{"no name", 2, []string{"--data-dir is empty"}, []string{in("")}},
		{"wal in data", 2, []string{" is inside --data-dir"}, []string{fresh, "--wal-dir=" + dir + "/fresh/wal"}},
		{"data in wal", 2, []string{"is inside --wal-dir"}, []string{fresh, "--wal-dir=" + dir}},
		{"a full wal", 2, []string{"--wal-dir: " + old + " is not empty"}, []string{fresh, "--wal-dir=" + old}},
		{"empty --name", 2, []string{"--name is empty"}, []string{fresh, "--name="}},
		{"unknown --name", 2, []string{"--name node9 is not among the members node1"}, []string{fresh, "--name=node9"}},
		{"not in the list", 2, []string{"--name node1 is not among the members a, b"}, []string{fresh, "--name=node1", "--initial-cluster=a=http://h:1,b=http://h:2"}},
		{"no name for a list", 2, []string{"the members are a: use --name to say"}, []string{fresh, "--initial-cluster=a=http://h:1"}},
		{"twice the same URL", 2, []string{"two members have the peer URL http://h:1: a and b"}, []string{fresh, "--name=a", "--initial-cluster=a=http://h:1,b=http://h:1"}},
		{"an empty name in the list", 2, []string{"a member has no name"}, []string{fresh, "--name=a", "--initial-cluster==http://h:1"}},
		{"no URL", 2, []string{"--initial-cluster"}, []string{fresh, "--name=a", "--initial-cluster=a=h"}},
		{"another URL", 2, []string{"differs from the member list"}, []string{fresh, "--name=a", "--initial-cluster=a=http://h:1", "--initial-advertise-peer-urls=http://h:2"}},
		{"unknown user", 2, []string{`no user "nobody-here"`}, []string{fresh, "--chown=nobody-here"}},
		{"unknown group", 2, []string{`no group "nobody-here"`}, []string{fresh, "--chown=0:nobody-here"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			p := run(t, r.status, r.words, words("restore", []string{b.archive}, r.flags)...)
			t.Log(strings.TrimSpace(p.stderr.String()))
			wantTree(t, dir, before)
		})
	}
	// All the checks and the plan, and nothing done.
	run(t, 0, []string{"nothing is changed", "member           node1", old + "/member.before-restore-", "stays            notes"}, "restore", b.archive, in(old), "--replace", "--dry-run")
	run(t, 2, []string{"is not empty"}, "restore", b.archive, in(old), "--dry-run")
	wantTree(t, dir, before)
}

// A user who may not write beside the data, or may not read the old data, is told so. Root may everything.
func TestRestoreReportsMissingPermissions(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	must(t, os.Mkdir(mine, 0o700))
	must(t, os.Chown(mine, nobody, nobody))
	oldData(t, filepath.Join(dir, "root"))
	archive := filepath.Join(dir, "snapshot.db.zst")
	must(t, os.Link(b.archive, archive))
	must(t, os.Chown(archive, nobody, nobody))
	for _, path := range []string{dir, lean} {
		reachable(t, path)
	}
	before := tree(t, dir)
	for _, r := range []refusal{
		{"beside", 2, []string{"this user may not write to " + dir}, []string{"--data-dir=" + dir + "/new"}},
		{"old data of another", 2, []string{"permission denied"}, []string{"--data-dir=" + dir + "/root", "--replace"}},
		{"for another", 2, []string{"--chown root:root: only root can do this"}, []string{"--data-dir=" + mine + "/data", "--chown=0:0"}},
	} {
		p := asNobody(t, words("restore", []string{archive}, r.flags)...)
		p.demand(t, r.status, r.words...)
		t.Log(strings.TrimSpace(p.stderr.String()))
		wantTree(t, dir, before)
	}
	// The directory around a user's own data directory may be closed to him.
	asNobody(t, "restore", archive, "--data-dir="+mine).demand(t, 0, "restored "+mine)
	asNobody(t, "restore", archive, "--data-dir="+mine, "--replace").demand(t, 0, "moved aside")
	asNobody(t, "restore", archive, "--data-dir="+mine+"/data").demand(t, 0, "restored "+mine)
	for _, path := range []string{"/data", "/data/member", "/data/member/snap/db"} {
		if got := owner(t, mine+path); got != fmt.Sprintf("%d:%d", nobody, nobody) {
			t.Errorf("%s belongs to %s", path, got)
		}
	}
}

// nobody is a user, and a group, without rights.
const nobody = 65534

func asNobody(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(lean, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return launch(t, cmd)
}

// reachable lets others pass through the directories above a path below that of the temporary files.
func reachable(t *testing.T, path string) {
	t.Helper()
	for path = filepath.Dir(path); len(path) > len(os.TempDir()); path = filepath.Dir(path) {
		must(t, os.Chmod(path, 0o711))
	}
}

// The data belongs to the owner of the existing data, else to the owner of the directory around it, or to whom --chown names; nobody
// else may read it. An existing data directory itself stays as it is without --chown.
func TestRestoredDataHasTheOwnerOfTheOld(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	for _, x := range []struct {
		name           string
		around, before int // owner and group; 0: no data was there
		chown          string
		want           string
	}{
		{"around", 1234, 0, "", "1234:1234"},
		{"before", 1234, 4321, "", "4321:4321"},
		{"numbers", 1234, 4321, "77:88", "77:88"},
		{"user", 1234, 0, "nobody", fmt.Sprintf("%d:%d", nobody, nobody)},
		{"names", 1234, 0, "nobody:daemon", fmt.Sprintf("%d:1", nobody)},
	} {
		t.Run(x.name, func(t *testing.T) {
			around := t.TempDir()
			dir, wal := filepath.Join(around, "data"), filepath.Join(around, "wal")
			must(t, os.Chown(around, x.around, x.around))
			if x.before != 0 {
				oldData(t, dir)
				must(t, os.Chown(dir, x.before-1, x.before-1))
				must(t, os.Chown(dir+"/member", x.before, x.before))
				must(t, os.Chown(dir+"/member/snap", x.before, x.before))
			}
			args := []string{"restore", b.archive, "--data-dir=" + dir, "--wal-dir=" + wal, "--replace"}
			if x.chown != "" {
				args = append(args, "--chown="+x.chown)
			}
			run(t, 0, nil, args...)
			for _, path := range []string{dir, dir + "/member", dir + "/member/snap/db", wal} {
				want := x.want
				if path == dir && x.before != 0 && x.chown == "" {
					want = fmt.Sprintf("%d:%d", x.before-1, x.before-1)
				}
				if got := owner(t, path); got != want {
					t.Errorf("%s belongs to %s, want %s", path, got, want)
				}
			}
			wantMode(t, dir, 0o700)
			wantMode(t, wal, 0o700)
			wantMode(t, dir+"/member/snap/db", 0o600)
		})
	}
}
