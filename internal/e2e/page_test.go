package e2e_test

import (
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// ourRestore is how the command begins that the page shows.
const ourRestore = "etcd-rolling-backup restore "

// restoreCommand is what the page shows to be copied.
func (w *watched) restoreCommand(t *testing.T) string {
	t.Helper()
	_, page := w.get(t, "/")
	line := regexp.MustCompile(ourRestore + `[^<]*`).FindString(page)
	if line == "" {
		t.Fatalf("no command on the page:\n%s", page)
	}
	return html.UnescapeString(line)
}

// pasted runs a command of the page in a shell that stands somewhere, with these variables.
func pasted(t *testing.T, line string, variables ...string) *process {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = t.TempDir(), append(variables, "PATH="+filepath.Dir(lean)+":"+os.Getenv("PATH"))
	return launch(t, cmd)
}

// watchIn starts a daemon in a directory, in which its relative paths begin.
func watchIn(t *testing.T, dir string, variables []string, more ...[]string) *watched {
	t.Helper()
	cmd := exec.Command(withDetector(t), words("daemon", append([][]string{store("store"), {"--schedule=@every 1h"}}, more...)...)...)
	cmd.Dir, cmd.Env = dir, variables
	return answering(t, launch(t, cmd))
}

// The command restores where all went wrong: etcd is stopped, its data is there, the shell stands elsewhere than the daemon, and
// the cluster has several members. The daemon that tells it was started when nobody answered any more.
func TestCommandOfThePageRestoresACluster(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{Members: 3})
	mine, here := c.Members[2], t.TempDir()
	w := watchIn(t, here, nil, flags(c, mine.Endpoint))
	w.says(t, "snapshot saved")
	client := etcdtest.Dial(t, c)
	want := stateOf(t, client)
	_, err := client.Put(t.Context(), "/registry/later", "lost with the restore")
	must(t, err)
	on := func(m *etcdtest.Member) string {
		return strings.Replace(w.restoreCommand(t), " --name node3 ", " --name "+m.Name+" ", 1) + " --data-dir " + m.DataDir
	}
	pasted(t, on(mine)).demand(t, 1, "stop it first")
	for _, m := range c.Members {
		must(t, m.Stop())
	}
	w.stop(t, syscall.SIGTERM, 0)
	w = watchIn(t, here, nil, flags(c, mine.Endpoint))
	w.says(t, "does not answer yet")
	if _, page := w.get(t, "/"); !strings.Contains(page, "Stop etcd first.") {
		t.Errorf("nothing of what comes first:\n%s", page)
	}
	eventually(t, "the page had the snapshot", func() bool {
		_, page := w.get(t, "/")
		return strings.Contains(page, ourRestore)
	})
	for _, m := range c.Members {
		pasted(t, on(m)).demand(t, 0, "moved aside", m.Name+" of ")
	}
	must(t, c.Restart(t.Context()))
	if got := stateOf(t, etcdtest.Dial(t, c)); got != want {
		t.Errorf("after the restore there is %+v, want %+v", got, want)
	}
	w.stop(t, syscall.SIGTERM, 0)
}

// On a new disk all that there is lies in the bucket, whose keys only the daemon's environment has.
func TestCommandOfThePageRestoresFromS3(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, etcd := bed.bucket(t), bed.etcd.Members[0]
	all := b.flags(bed.server.Target)
	want := stateOf(t, etcdtest.Dial(t, bed.etcd))
	bed.save(t, all...)
	must(t, etcd.Stop())

	here := t.TempDir()
	keys := []string{"AWS_ACCESS_KEY_ID=" + bed.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + bed.server.SecretKey}
	named := slices.DeleteFunc(all, func(f string) bool { return strings.Contains(f, "-key-file=") || strings.HasPrefix(f, "--s3-ca=") })
	if bed.server.CAFile != "" {
		text, err := os.ReadFile(bed.server.CAFile)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(here, "ca.crt"), text, 0o600))
		named = append(named, "--s3-ca=ca.crt")
	}
	w := watchIn(t, here, keys, flags(bed.etcd, etcd.Endpoint), named)
	w.has(t, `snapshots{place="s3"}`, 1)
	line := w.restoreCommand(t)
	_, page := w.get(t, "/")
	if !strings.Contains(page, "From S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as for the daemon.") || strings.Contains(page, bed.server.SecretKey) {
		t.Errorf("the keys are not told of, or told:\n%s", page)
	}
	pasted(t, line+" --data-dir "+etcd.DataDir, keys...).demand(t, 0, "moved aside")
	must(t, etcd.Restart(t.Context()))
	if got := stateOf(t, etcdtest.Dial(t, bed.etcd)); got != want {
		t.Errorf("after the restore there is %+v, want %+v", got, want)
	}
	w.stop(t, syscall.SIGTERM, 0)
}
