package systemd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// startSave runs the commands of the one-shot unit as systemd does: a failure skips the other ExecStart=, and the unit fails. ExecStopPost= comes
// always.
func startSave(t *testing.T, config string) (ok bool, output string) {
	t.Helper()
	var out bytes.Buffer
	run := func(line string) bool {
		words := strings.Fields(line)
		cmd := exec.CommandContext(t.Context(), program, words[1:]...)
		cmd.Env = append(os.Environ(), "ETCD_BACKUP_CONFIG="+config)
		cmd.Stdout, cmd.Stderr = &out, &out
		return cmd.Run() == nil
	}
	ok = true
	for _, setting := range []string{"ExecStart", "ExecStopPost"} {
		for _, m := range regexp.MustCompile(`(?m)^`+setting+`=(.*)$`).FindAllStringSubmatch(read(t, saveUnit), -1) {
			if ok || setting == "ExecStopPost" {
				ok = run(m[1]) && ok
			}
		}
	}
	return ok, out.String()
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
