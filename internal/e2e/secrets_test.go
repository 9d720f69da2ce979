package e2e_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// password is nothing that stands in any message by chance.
const password = "Uq7-sesame-4Zx!%s"

// Passwords and private keys show in no output, whatever fails and however much is logged.
func TestEtcdSecretsStaySecret(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{TLS: true})
	must(t, c.EnableAuth(t.Context(), password))
	right, wrong, key := secretFile(t, password), secretFile(t, password+"x"), c.PKI.Client.Key
	at := flags(c, c.Members[0].Endpoint)
	user := func(file string) []string {
		return append(at[:len(at):len(at)], "--user=root", "--password-file="+file)
	}
	debug := []string{"--log-level=debug"}
	keyAsCert := []string{at[0], at[1], "--cert=" + key, "--key=" + key}
	keyAsCA := []string{at[0], "--cacert=" + key}

	for _, x := range []struct {
		status int
		args   []string
		env    string
	}{
		{0, words("save", store(newStore(t)), user(right), debug), ""},
		{0, words("save", store(newStore(t)), user(right), debug, []string{"--log-format=json", "--output=json"}), ""},
		{1, words("save", store(newStore(t)), user(wrong), debug), ""},
		{0, words("check", store(newStore(t)), user(right)), ""},
		{1, words("check", store(newStore(t)), user(wrong), []string{"--output=json"}), ""},
		{0, words("save", store(newStore(t)), at, debug), "ETCDCTL_USER=root:" + password},
		{1, words("save", store(newStore(t)), at, debug), "ETCDCTL_USER=root:" + password + "x"},
		{2, words("save", store(newStore(t)), at, debug, []string{"--user=root:" + password}), ""},
		{2, words("save", store(newStore(t)), at, debug, []string{"--password-file=" + right}), ""},
		{2, words("save", store(newStore(t)), at, debug, []string{"--config=" + right}), ""},
		{2, words("save", store(newStore(t)), at, debug, []string{"--config=" + key}), ""},
		{1, words("save", store(newStore(t)), keyAsCert, debug), ""},
		{1, words("save", store(newStore(t)), keyAsCA, debug), ""},
		{1, words("check", store(newStore(t)), keyAsCert), ""},
	} {
		p := startWith(t, x.env, x.args...)
		p.demand(t, x.status)
		wantNoSecrets(t, p, key)
	}

	for _, file := range []string{right, wrong} {
		p := follow(t, newStore(t), append(user(file), debug...))
		p.next(t, map[string]string{right: "snapshot saved", wrong: "snapshot failed"}[file])
		// What it was started with shows in the process list of every user.
		for _, name := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join("/proc", pid(p.process), name))
			must(t, err)
			if strings.Contains(string(text), password) {
				t.Errorf("the password is in the process's %s", name)
			}
		}
		p.stop(t, syscall.SIGTERM, 0)
		wantNoSecrets(t, p.process, key)
	}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// wantNoSecrets looks for the password, as it is or quoted, and for any line of the key.
func wantNoSecrets(t *testing.T, p *process, keyFile string) {
	t.Helper()
	text, err := os.ReadFile(keyFile)
	must(t, err)
	block, _ := pem.Decode(text)
	secrets := []string{password, "4Zx", string(block.Bytes)}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, line)
		}
	}
	all := p.stdout.String() + p.stderr.String()
	for _, s := range secrets {
		if strings.Contains(all, s) {
			t.Errorf("%s: a secret, %q, is in the output:\n%s", p.cmd.Args[1], s, all)
		}
	}
}
