package command

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/config"
)

// The example has every key of a node once, and what it has is accepted after the # was removed from all of its keys. Only one of the two
// keys for the heartbeat can be used.
func TestExampleIsAcceptedWithoutItsComments(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	text := config.Example(nodeFlags(), none)
	for _, f := range nodeFlags() {
		if n := strings.Count(text, "\n#"+f.Names()[0]+": "); n != 1 {
			t.Errorf("%s is in the example %d times", f.Names()[0], n)
		}
	}
	if strings.Contains(text, ": \n") || strings.Contains(text, `: ""`) {
		t.Error("a key has no value")
	}
	dir := t.TempDir()
	for _, secret := range []string{"password", "heartbeat-url"} {
		must(t, os.WriteFile(filepath.Join(dir, secret), []byte("https://127.0.0.1/secret"), 0o600))
	}
	text = regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(text, "$1")
	text = regexp.MustCompile(`(?m)^heartbeat-url: .*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "/etc/etcd-rolling-backup/", dir+"/")
	file := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	for _, command := range [][]string{{"config", "show"}, {"prune", "--dry-run", "--from", "local", "--dir", t.TempDir()}} {
		if status, _, stderr := run(t.Context(), append(command, "--config", file)...); status != exitDone {
			t.Errorf("%s: status %d: %s", command[0], status, stderr)
		}
	}
	for _, f := range nodeFlags() {
		if d, ok := f.(cli.DocGenerationFlag); !ok || d.GetUsage() == "" {
			t.Errorf("%s has no text", f.Names()[0])
		}
	}
}

// A file that is there and that this user can't read is never ignored, wherever the permission is missing.
func TestUnreadableFileIsAnErrorWithARemedy(t *testing.T) {
	root, err := os.MkdirTemp("", "root") // t.TempDir is in a directory that nobody else can enter
	must(t, err)
	defer os.RemoveAll(root)
	file := filepath.Join(root, config.DefaultFile)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte("keep-last: 3\n"), 0o600))
	for path, mode := range map[string]os.FileMode{root: 0o755, file: 0o600, filepath.Dir(file): 0o700} {
		must(t, os.Chmod(path, mode))
		var status int
		var out bytes.Buffer
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends with its other user
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
			status = Main(t.Context(), Process{Root: root, Stdout: &out, Stderr: &out}, []string{program, "list", "--dir", "/nowhere"})
		}()
		<-done
		want := "etcd-rolling-backup: read --config: open " + file + ": permission denied: run the command as root or as the owner of the file; --config \"\" uses no file\n"
		if status != exitUsage || out.String() != want {
			t.Errorf("%s %o: status %d, %q, want %q", path, mode, status, out.String(), want)
		}
	}
}

// What is written in place of a path may be the secret itself.
func TestShownValuesHaveNoSecrets(t *testing.T) {
	for _, x := range []struct{ key, value, want string }{
		{"dir", "/var/lib/x", "/var/lib/x"},
		{"schedule", "CRON_TZ=Europe/Berlin 0 * * * *", "CRON_TZ=Europe/Berlin 0 * * * *"},
		{"s3-endpoint", "https://user:hunter2@s3.example.com", "https://***@s3.example.com"},
		{"s3-endpoint", "https://s3.example.com/?token=hunter2", "https://s3.example.com/?***"},
		{"endpoints", "https://a:hunter2@b:2379,https://c:hunter2@d:2379", "https://***@b:2379,https://***@d:2379"},
		{"endpoints", "https://a:hunt/er2@b:2379", "https://***@b:2379"},
		{"endpoints", "unix:///run/etcd.sock", "unix:///run/etcd.sock"},
		{"heartbeat-url", "https://hc-ping.com/hunter2", "https://hc-ping.com/***"},
		{"heartbeat-url", "https://hunter2@hc-ping.com/x", "***"},
		{"heartbeat-url", "hunter2", "***"},
		{"heartbeat-url", "", ""},
		{"user", "root", "root"},
		{"user", "root:hunter2", "root:***"},
		{"s3-secret-key-file", "/etc/x/secret-key", "/etc/x/secret-key"},
		{"s3-secret-key-file", "secrets/key", "secrets/key"},
		{"s3-secret-key-file", "hunter2/K7MDENG+bPx=", "***"},
		{"key", "-----BEGIN PRIVATE KEY-----\nhunter2", "*** (the text itself, not a file)"},
		{"s3-ca", strings.Repeat("hunter2", 50), "*** (the text itself, not a file)"},
		{"s3-ca", "/etc/x/ca.crt", "/etc/x/ca.crt"},
	} {
		if got := config.Shown(x.key, x.value); got != x.want {
			t.Errorf("%s %q is shown as %q, want %q", x.key, x.value, got, x.want)
		}
	}
}

// What a reload takes over is a setting of the daemon.
func TestOnlyKeysOfTheDaemonAreReloadable(t *testing.T) {
	app, _ := newApp(Process{Stdout: io.Discard, Stderr: io.Discard})
	for _, f := range config.Keys(app.Commands) {
		name := f.Names()[0]
		ofDaemon := slices.ContainsFunc(append(daemonFlags(), config.LogFlags()...), func(f cli.Flag) bool { return f.Names()[0] == name })
		if config.Reloadable(name) && !ofDaemon {
			t.Errorf("a reload takes over %s, which the daemon does not have", name)
		}
	}
}
