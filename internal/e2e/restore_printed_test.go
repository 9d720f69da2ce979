package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// The commands that a restore of one of three members prints do what they say, pasted into a shell: the others are restored with them, all
// form a cluster, and the way back leads to the old data. The paths have spaces.
func TestPrintedCommandsRestoreTheCluster(t *testing.T) {
	parallel(t)
	l := lose(t, etcdtest.Default)
	home := filepath.Join(t.TempDir(), "it's here")
	store := filepath.Join(home, "snapshots")
	must(t, os.MkdirAll(store, 0o700))
	archive := filepath.Join(store, filepath.Base(l.archive))
	must(t, os.Rename(l.archive, archive))
	data := func(name string) string { return filepath.Join(home, name, "data") }
	for _, m := range l.Members {
		must(t, os.MkdirAll(filepath.Dir(data(m.Name)), 0o700))
	}
	must(t, os.Rename(l.Members[0].DataDir, data("node1")))
	old := tree(t, data("node1")+"/member")
	out := run(t, 0, nil, "restore", archive, "--name=node1", "--data-dir="+data("node1"), "--replace").stdout.String()
	for i, command := range printed(out, "etcd-rolling-backup restore") {
		// Each on its node: with its own disk, here a directory of its own.
		paste(t, store, strings.ReplaceAll(command, "node1/data", l.Members[i+1].Name+"/data"))
	}
	var members []*revived
	for i, m := range l.Members {
		members = append(members, l.revive(t, i, data(m.Name)))
	}
	for i, m := range members {
		if got := stateOf(t, m.client); got.keys != l.keys {
			t.Errorf("member %d has %d keys, want %d", i, got.keys, l.keys)
		}
	}
	for _, m := range members {
		m.kill()
	}
	undo := strings.SplitN(out, "to go back, with etcd stopped:", 2)
	paste(t, home, undo[1])
	wantTree(t, data("node1")+"/member", old)
}

// With TLS between the members the snapshot is served: the printed command does that, and the one for the others fetches it.
func TestPrintedCommandsServeTheSnapshot(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, TLS: true, UnsafeNoFsync: true})
	archive := saved(t, c)
	for _, m := range c.Members {
		must(t, m.Kill())
	}
	dir := filepath.Join(t.TempDir(), "a node's data")
	ports, err := proctest.ReservePorts(1)
	must(t, err)
	members := "node1=https://" + ports[0] + ",node2=https://127.0.0.1:2,node3=https://127.0.0.1:3"
	out := run(t, 0, nil, "restore", archive, "--name=node1", "--initial-cluster="+members, "--data-dir="+dir,
		"--cacert="+c.PKI.CACert, "--cert="+c.PKI.Server.Cert, "--key="+c.PKI.Server.Key).stdout.String()
	serve, others := printed(out, "etcd-rolling-backup serve"), printed(out, "etcd-rolling-backup restore")
	if len(serve) != 1 || len(others) != 2 {
		t.Fatalf("commands to serve: %q, to restore: %q", serve, others)
	}
	p := launch(t, shell(t, "", "exec "+serve[0]))
	eventually(t, "the snapshot is served", func() bool { return strings.Contains(p.stdout.String(), "serving ") })
	for _, command := range others {
		paste(t, t.TempDir(), strings.ReplaceAll(command, "data'", regexp.MustCompile(`node\d`).FindString(command)+"'"))
	}
}

// printed are the commands in an output that begin with the words.
func printed(out, words string) (commands []string) {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, words+" ") {
			commands = append(commands, line)
		}
	}
	return commands
}

// shell is a command in the shell of somebody who has the program in PATH.
func shell(t testing.TB, dir, command string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("bash", "-euc", command)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + filepath.Dir(lean) + ":" + os.Getenv("PATH")}
	return cmd
}

func paste(t testing.TB, dir, command string) {
	t.Helper()
	p := launch(t, shell(t, dir, command))
	p.demand(t, 0)
}
