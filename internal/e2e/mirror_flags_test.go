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

	"etcd-rolling-backup/internal/s3test"
)

// What can't be meant is refused before anything is done, in one line, with status 2.
func TestContradictoryS3FlagsAreRefused(t *testing.T) {
	parallel(t)
	name := rolling(t, node, 1)[0]
	dir := newStore(t)
	at := []string{"--s3-bucket=backups", "--s3-endpoint=https://127.0.0.1:1"}
	commands := map[string][]string{
		"list": {"list"}, "prune": {"prune"}, "verify": {"verify"}, "delete": {"delete", name}, "mirror": {"mirror"},
		"download": {"download"}, "save": {"save"}, "daemon": {"daemon"}, "check": {"check"},
	}
	refused := func(args []string, words ...string) {
		t.Helper()
		run(t, 2, words, append(args, "--dir="+dir)...)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q made the directory", args)
		}
	}
	for _, words := range commands {
		refused(append(words, "--s3-folder=c1"), "--s3-bucket")
		for flag, hint := range map[string]string{
			"--s3-timeout=-1s": "--s3-timeout", "--s3-stall=0s": "--s3-stall", "--s3-object-lock=-1h": "--s3-object-lock",
			"--s3-upload-rate=fast": "--s3-upload-rate", "--s3-bucket=my/bucket": "--s3-bucket", "--s3-folder=a/../b": "--s3-folder",
			"--s3-ca=/any.pem --s3-endpoint=http://127.0.0.1:1": "plain http",
		} {
			refused(append(append(words, at...), strings.Fields(flag)...), hint)
		}
	}
	for _, c := range []string{"list", "prune", "verify", "delete"} {
		refused(append(commands[c], "--from=s3"), "--from s3 needs --s3-bucket")
		refused(append(append(commands[c], at...), "--from=nowhere"), "--from", "nowhere")
	}
	refused(append([]string{"verify", "--from=all"}, at...), "--from", "local or s3")
	for _, c := range []string{"mirror", "prune", "daemon", "check"} {
		refused(append(append(commands[c], at...), "--s3-orphan-after=-1h"), "--s3-orphan-after")
		refused(append(append(commands[c], at...), "--s3-keep-within=-1h"), "--s3-keep-within")
		refused(append(append(commands[c], at...), "--s3-keep-last=-2"), "--s3-keep-last")
	}
	for _, ca := range []string{"no such file", "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----", "LS0tLS1CRUdJTg=="} {
		for _, args := range [][]string{{"list", "--from=s3"}, {"verify", "--from=s3"}, {"delete", name, "--from=s3"}, {"prune", "--from=s3", "--keep-last=1"}, {"mirror"}, {"download"}, {"save"}} {
			refused(append(append(args, at...), "--s3-ca="+ca), "--s3-ca")
		}
	}
}

// The keys show in no output, at any level and whatever fails, and in nothing that other users of the machine can see.
func TestS3KeysStaySecret(t *testing.T) {
	parallel(t)
	const access, secret, wrong = "access-7Qw3", "Vy5-secret-9Kd", "Vy5-secret-bad"
	bed := newMirrorBed(t, secureServer.get(t))
	b := bed.bucket(t)
	must(t, bed.server.AddUser(t.Context(), access, secret, s3test.MinimalPolicy(b.name, "")))
	right := slices.Concat(b.flags(bed.server.As(access, secret)), impatient)
	bad := slices.Concat(b.flags(bed.server.As(access, wrong)), impatient)
	keyless := slices.DeleteFunc(slices.Clone(right), func(f string) bool { return strings.Contains(f, "key-file") })
	both := filepath.Join(t.TempDir(), "both")
	must(t, os.WriteFile(both, []byte(access+"\n"+secret+"\n"), 0o600))
	at := words("save", flags(bed.etcd, bed.etcd.Endpoints()[0]), []string{"--log-level=debug"})
	proxied := []string{right[0], "--s3-endpoint=http://s3.example.invalid", right[2], right[3]}
	for i, x := range []struct {
		status int
		words  []string
		flags  []string
		env    []string
	}{
		{0, []string{"mirrored to"}, right, nil},
		{1, []string{"--s3-secret-key-file"}, bad, nil},
		{0, []string{"mirrored to"}, keyless, []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret}},
		{1, []string{"SignatureDoesNotMatch"}, keyless, []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + wrong}},
		{2, []string{"must contain one word"}, slices.Concat(right, []string{"--s3-secret-key-file=" + both}), nil},
		{2, []string{"--s3-ca"}, slices.Concat(right, []string{"--s3-ca=" + both}), nil},
		{2, []string{"--s3-endpoint"}, slices.Concat(right, []string{"--s3-endpoint=https://" + access + ":" + secret + "@127.0.0.1"}), nil},
		{1, []string{"HTTP_PROXY"}, proxied, []string{"HTTP_PROXY=http://" + access + ":" + secret + "@127.0.0.1:1"}},
		{1, []string{"HTTP_PROXY"}, proxied, []string{"HTTP_PROXY=http://" + access + ":" + secret + "@127.0.0.1:none"}},
	} {
		cmd := exec.Command(lean, slices.Concat(at, store(newStore(t)), x.flags, []string{fmt.Sprintf("--label=save-%d", i)})...) // one name for each in the bucket
		cmd.Env = append([]string{"AWS_EC2_METADATA_DISABLED=true"}, x.env...)
		p := launch(t, cmd)
		p.demand(t, x.status, x.words...)
		wantNoneOf(t, "output", p.stdout.String()+p.stderr.String(), secret, wrong)
	}
	for _, x := range []struct {
		mirror []string
		says   string
	}{{right, "msg=mirrored"}, {bad, "mirroring failed"}} {
		p, _ := bed.follow(t, x.mirror)
		p.next(t, x.says)
		for _, name := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join("/proc", pid(p.process), name))
			must(t, err)
			wantNoneOf(t, name, string(text), access, secret, wrong)
		}
		p.stop(t, syscall.SIGTERM, 0)
		wantNoneOf(t, "log", p.stderr.String(), secret, wrong)
	}
	for _, args := range [][]string{words("check", at[1:2], store(newStore(t)), bad), words("list", bad), words("mirror", bad, []string{"--dir=" + t.TempDir()})} {
		p := start(t, args...)
		p.ended(t)
		wantNoneOf(t, args[0], p.stdout.String()+p.stderr.String(), secret, wrong)
	}
}

func wantNoneOf(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%q stands in the %s:\n%s", s, where, text)
		}
	}
}
