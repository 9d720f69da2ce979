package command

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
)

// nodeFile writes a file of the machine whose root directory is root, and its directories, which every user can enter.
func nodeFile(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(t, os.WriteFile(full, []byte(text), 0o600))
}

// runOn runs a command on the machine whose files are below root.
func runOn(t *testing.T, root string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main(t.Context(), Process{Version: "1.2.3-test", Root: root, Stdout: &out, Stderr: &errs}, append([]string{program}, args...))
	return status, out.String(), errs.String()
}

// controlPlane is the root directory of a node of kubeadm with this etcd.
func controlPlane(t *testing.T, endpoint string, pki *etcdtest.Authority) string {
	t.Helper()
	root, err := os.MkdirTemp("", "node") // t.TempDir is in a directory that nobody else can enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	must(t, os.Chmod(root, 0o755))
	installEtcd(t, root, endpoint, pki)
	return root
}

// installEtcd makes the files of kubeadm for this etcd.
func installEtcd(t *testing.T, root, endpoint string, pki *etcdtest.Authority) {
	t.Helper()
	const dir = "/etc/kubernetes/pki/etcd/"
	for name, from := range map[string]string{
		"ca.crt": pki.CACert, "healthcheck-client.crt": pki.Client.Cert, "healthcheck-client.key": pki.Client.Key,
		"server.crt": pki.Server.Cert, "server.key": pki.Server.Key,
	} {
		text, err := os.ReadFile(from)
		must(t, err)
		nodeFile(t, root, dir+name, string(text))
	}
	nodeFile(t, root, "/etc/kubernetes/manifests/etcd.yaml", `spec:
  containers:
  - name: etcd
    command: [etcd, "--listen-client-urls=`+endpoint+`", --data-dir=/srv/etcd, --cert-file=`+dir+`server.crt, --key-file=`+dir+`server.key, --trusted-ca-file=`+dir+`ca.crt]
`)
}

// The member of a control plane node is used by commands without one flag, and a file with a single key of it replaces all that was detected.
func TestDetectedEtcdIsUsedUnlessOneIsConfigured(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	endpoint, store := "https://"+etcd.Members[0].Endpoint, filepath.Join(t.TempDir(), "store")
	root := controlPlane(t, endpoint, etcd.PKI)
	manifest, pki := root+"/etc/kubernetes/manifests/etcd.yaml", root+"/etc/kubernetes/pki/etcd/"
	must(t, os.Mkdir(store, 0o700))
	status, out, errs := runOn(t, root, "check", "--dir", store, "--listen", "off")
	line := `(?m)^ok +detected +kubeadm \(` + regexp.QuoteMeta(manifest) + `\): endpoint ` + regexp.QuoteMeta(endpoint) + `, CA \S+/ca.crt, certificate \S+/healthcheck-client.crt, key \S+, data directory ` + root + `/srv/etcd$`
	if status != exitDone || !regexp.MustCompile(line).MatchString(out) || !regexp.MustCompile(`(?m)^ok +etcd +`+regexp.QuoteMeta(endpoint)+`: `).MatchString(out) {
		t.Errorf("check: status %d, %s%s", status, out, errs)
	}
	if status, out, errs := runOn(t, root, "save", "--dir", store); status != exitDone {
		t.Errorf("save: status %d, %s%s", status, out, errs)
	}
	status, out, errs = runOn(t, root, "restore", "--dir", store, "--from", "local", "--dry-run")
	if !strings.HasPrefix(errs, "--data-dir "+root+"/srv/etcd: the data directory of the etcd that was detected on this node ("+manifest+")\n") {
		t.Errorf("restore: status %d, %s%s", status, out, errs)
	}
	from := func(args ...string) map[string]string {
		t.Helper()
		status, out, errs := runOn(t, root, append([]string{"config", "show"}, args...)...)
		if status != exitDone {
			t.Fatalf("config show: status %d, %s", status, errs)
		}
		found := map[string]string{}
		for _, m := range regexp.MustCompile(`(?m)^(endpoints|cacert|cert|key|data-dir) +(.*)$`).FindAllStringSubmatch(out, -1) {
			found[m[1]] = strings.Join(strings.Fields(m[2]), " ")
		}
		return found
	}
	detected := " detected (" + manifest + ")"
	for key, value := range map[string]string{
		"endpoints": endpoint, "cacert": pki + "ca.crt", "cert": pki + "healthcheck-client.crt", "key": pki + "healthcheck-client.key", "data-dir": root + "/srv/etcd",
	} {
		if got := from()[key]; got != value+detected {
			t.Errorf("%s is %q, want %q", key, got, value+detected)
		}
	}
	only := func(how string, got map[string]string) {
		t.Helper()
		for key, text := range got {
			if strings.Contains(text, "detected") {
				t.Errorf("%s: %s is still %q", how, key, text)
			}
		}
	}
	only("flag", from("--endpoints", "127.0.0.1:1"))
	nodeFile(t, root, config.DefaultFile, "cacert: /x/ca.crt\n")
	only("file", from())
	must(t, os.Remove(root+config.DefaultFile))
	t.Setenv("ETCDCTL_CACERT", "/x/ca.crt")
	only("variable", from())
	t.Setenv("ETCDCTL_CACERT", "")
	if got := from()["cacert"]; got != pki+"ca.crt"+detected {
		t.Errorf("an empty variable hides what is detected: %q", got)
	}
	t.Setenv("ETCD_BACKUP_ENDPOINTS", "127.0.0.1:1") // restore has no flag for it
	if status, _, errs := runOn(t, root, "restore", "--dir", store, "--from", "local", "--dry-run", "--data-dir", store+"/new"); strings.Contains(errs, "detected") {
		t.Errorf("restore with a variable: status %d, %s", status, errs)
	}
}

// What config detect prints is a file that gives the same values.
func TestDetectedFileConfiguresTheSame(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	root := controlPlane(t, "https://127.0.0.1:2379", pki)
	values := func() string {
		_, out, _ := runOn(t, root, "config", "show")
		return strings.Join(regexp.MustCompile(`(?m)^(endpoints|cacert|cert|key|data-dir) +\S+`).FindAllString(out, -1), "\n")
	}
	before := values()
	status, out, errs := runOn(t, root, "config", "detect")
	if status != exitDone || !strings.HasPrefix(out, "# Detected on this node: kubeadm ("+root+"/etc/kubernetes/manifests/etcd.yaml): endpoint https://127.0.0.1:2379") {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	nodeFile(t, root, config.DefaultFile, out)
	if after := values(); after != before || !strings.Contains(after, "healthcheck-client.key") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	status, out, errs = run(t.Context(), "config", "detect")
	if status != exitFailed || out != "" || !strings.Contains(errs, "no etcd of kubeadm, k3s, RKE2 or systemd was found on this node: set --endpoints") {
		t.Errorf("without an etcd: status %d, %s%s", status, out, errs)
	}
	if status, _, errs = runOn(t, root, "config", "detect", "x"); status != exitUsage {
		t.Errorf("with an argument: status %d, %s", status, errs)
	}
}

// Nothing is taken from one of two etcds; what needs none of them still works.
func TestTwoEtcdsOnOneNodeAreNamedAndNeitherIsUsed(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	root, store := controlPlane(t, "https://127.0.0.1:2379", pki), t.TempDir()
	must(t, os.Chmod(store, 0o700))
	nodeFile(t, root, "/etc/default/etcd", "ETCD_DATA_DIR=/var/lib/etcd\n")
	named := regexp.MustCompile(`several etcds on this node: kubeadm \(\S+/etc/kubernetes/manifests/etcd.yaml\) and systemd \(\S+/etc/default/etcd\): --endpoints, `)
	for _, args := range [][]string{{"save"}, {"daemon", "--listen", "off"}, {"config", "detect"}} {
		if args[0] != "config" {
			args = append(args, "--dir", store)
		}
		status, _, errs := runOn(t, root, args...)
		if status != exitUsage || !named.MatchString(errs) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
	status, out, errs := runOn(t, root, "check", "--dir", store, "--listen", "off")
	if status != exitUsage || errs != "etcd-rolling-backup: check failed: etcd\n" || !named.MatchString(out) || !strings.Contains(out, "directory") {
		t.Errorf("check: status %d, %s%s", status, out, errs)
	}
	status, out, errs = runOn(t, root, "config", "show")
	if status != exitDone || !named.MatchString(out) || !regexp.MustCompile(`(?m)^endpoints +127\.0\.0\.1:2379 +default$`).MatchString(out) {
		t.Errorf("config show: status %d, %s%s", status, out, errs)
	}
	if status, _, errs := runOn(t, root, "list", "--dir", store); status != exitDone || errs != "" {
		t.Errorf("list: status %d, %s", status, errs)
	}
	if _, _, errs := runOn(t, root, "save", "--dir", store, "--endpoints", "127.0.0.1:1"); strings.Contains(errs, "several") {
		t.Errorf("save --endpoints: %s", errs)
	}
}

// A user who can't read the certificates gets one line with the file and the remedy, not etcd's refusal.
func TestDetectedCertificateThatIsUnreadableIsOneLine(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	root := controlPlane(t, "https://127.0.0.1:2379", pki)
	for _, open := range []string{"etc/kubernetes/manifests/etcd.yaml", "etc/kubernetes/pki/etcd/ca.crt", "etc/kubernetes/pki/etcd/healthcheck-client.crt"} {
		must(t, os.Chmod(filepath.Join(root, open), 0o644))
	}
	var status int
	var errs string
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its other user
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		status, _, errs = runOn(t, root, "save", "--dir", "/nowhere")
	}()
	<-done
	key := root + "/etc/kubernetes/pki/etcd/healthcheck-client.key"
	want := "etcd-rolling-backup: etcd of kubeadm (" + root + "/etc/kubernetes/manifests/etcd.yaml) was found, but its certificates can't be read: open " + key +
		": permission denied: run the command as root, or set --endpoints, --cacert, --cert and --key\n"
	if status != exitUsage || errs != want {
		t.Errorf("status %d, %q, want %q", status, errs, want)
	}
}

// The log says once what the daemon found and uses; with an endpoint that somebody chose, it says nothing.
func TestDaemonLogsTheDetectedEtcd(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	root := controlPlane(t, "https://127.0.0.1:1", pki)
	start := func(more ...string) string {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log := &until{word: "msg=\"started", end: cancel}
		status := Main(ctx, Process{Version: "1.2.3-test", Root: root, Stdout: log, Stderr: log}, append([]string{
			program, "daemon", "--dir", filepath.Join(t.TempDir(), "d"), "--node", "n1", "--etcd-timeout", "100ms", "--listen", "off", "--drill-schedule", "off", "--min-free", "0",
		}, more...))
		if status != exitDone {
			t.Errorf("%v: status %d:\n%s", more, status, log.text.String())
		}
		return log.text.String()
	}
	text := start()
	for _, want := range []string{"endpoint=\"https://127.0.0.1:1\"", "source=" + root + "/etc/kubernetes/manifests/etcd.yaml", "cert=" + root, "data_dir=" + root + "/srv/etcd", "kind=kubeadm"} {
		lines := regexp.MustCompile(`(?m)^.*etcd detected on this node.*$`).FindAllString(text, -1)
		if len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("want one line with %s:\n%s", want, text)
		}
	}
	if text := start("--endpoints", "127.0.0.1:1"); strings.Contains(text, "detected") {
		t.Errorf("with --endpoints:\n%s", text)
	}
}

// serve presents etcd's own certificate: with that of a client, no peer would accept it.
func TestServeUsesTheDetectedEtcdsOwnCertificate(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	root := controlPlane(t, "https://127.0.0.1:2379", pki)
	app, e := newApp(Process{Root: root, Stdout: io.Discard, Stderr: io.Discard})
	for command, want := range map[string]string{"serve": "server", "download": "server", "restore": "server", "save": "healthcheck-client", "check": "healthcheck-client"} {
		app.Command(command).Action = func(c *cli.Context) error {
			if got := filepath.Base(c.String("cert")) + filepath.Base(c.String("key")); got != want+".crt"+want+".key" {
				t.Errorf("%s uses %s, want %s", command, got, want)
			}
			return nil
		}
		must(t, e.run(t.Context(), app, []string{program, command}))
	}
}

// After all data is lost, no directory says who etcd runs as. The unit does: etcd starts on what was restored.
func TestRestoredDataBelongsToTheUserOfTheDetectedEtcd(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	root, store := t.TempDir(), filepath.Join(t.TempDir(), "store")
	nodeFile(t, root, "/etc/systemd/system/etcd.service", "[Service]\nUser=77\nGroup=88\nExecStart=/usr/bin/etcd --data-dir /srv/etcd --listen-client-urls http://"+etcd.Members[0].Endpoint+"\n")
	must(t, os.Mkdir(root+"/srv", 0o755))
	if status, _, errs := runOn(t, root, "save", "--dir", store, "--min-free", "0"); status != exitDone {
		t.Fatal(errs)
	}
	owner := func(path string) [2]uint32 {
		var s unix.Stat_t
		must(t, unix.Stat(root+path, &s))
		return [2]uint32{s.Uid, s.Gid}
	}
	restored := func(what string, want [2]uint32, args ...string) {
		t.Helper()
		status, out, errs := runOn(t, root, append([]string{"restore", "--dir", store, "--replace", "--ignore-running-members"}, args...)...)
		if status != exitDone || strings.Contains(errs, "had nothing to replace") {
			t.Errorf("%s: status %d, %s%s", what, status, out, errs)
		}
		for _, path := range []string{"/srv/etcd", "/srv/etcd/member", "/srv/etcd/member/snap/db"} {
			if got := owner(path); got != want {
				t.Errorf("%s: %s belongs to %d, want %d", what, path, got, want)
			}
		}
	}
	restored("no directory", [2]uint32{77, 88})
	must(t, os.RemoveAll(root+"/srv/etcd"))
	must(t, os.Mkdir(root+"/srv/etcd", 0o700))
	restored("an empty directory of root", [2]uint32{77, 88})
	must(t, os.RemoveAll(root+"/srv/etcd"))
	restored("--chown", [2]uint32{99, 99}, "--chown", "99")
	restored("data of another user", [2]uint32{99, 99})
}
