package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// startSave runs the command of the one-shot unit as systemd does.
func startSave(t *testing.T, config string) (ok bool, output string) {
	t.Helper()
	script := regexp.MustCompile(`(?m)^ExecStart=/bin/sh -c '(.*)'$`).FindStringSubmatch(read(t, saveUnit))
	if script == nil {
		t.Fatal("no ExecStart= with a script")
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.NewReplacer("$$", "$", "/usr/bin/etcd-rolling-backup", program).Replace(script[1]))
	cmd.Env = append(os.Environ(), "ETCD_BACKUP_CONFIG="+config)
	out, err := cmd.CombinedOutput()
	return err == nil, string(out)
}

// A bucket that is down for a long time must not fill the disk: the policy is applied to each new snapshot, and the unit fails, so that a person knows.
func TestSaveUnitAppliesThePolicyWhileTheBucketIsDown(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	dir := t.TempDir()
	store, config := filepath.Join(dir, "store"), filepath.Join(dir, "config.yaml")
	text := "endpoints: " + etcd.Members[0].Endpoint + "\ndir: " + store + "\nnode: node-a\nkeep-last: 1\nmin-free: 0\nstream-rate: off\n" +
		"s3-bucket: backups\ns3-endpoint: http://127.0.0.1:1\ns3-timeout: 100ms\n"
	for _, file := range []string{"access", "secret"} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte("a-key-of-"+file), 0o600); err != nil {
			t.Fatal(err)
		}
		text += "s3-" + file + "-key-file: " + path + "\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	last := ""
	for i := range 2 {
		for second := time.Now().Unix(); i > 0 && time.Now().Unix() == second; { // the name has the second
			time.Sleep(10 * time.Millisecond)
		}
		ok, output := startSave(t, config)
		found, err := filepath.Glob(filepath.Join(store, "rolling_*.db.zst"))
		if ok || err != nil || len(found) != 1 || found[0] == last {
			t.Fatalf("run %d: success %v, snapshots %v, want a new one alone\n%s", i+1, ok, found, output)
		}
		last = found[0]
	}
}
