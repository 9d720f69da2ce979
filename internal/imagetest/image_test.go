//go:build image

package imagetest

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/podmantest"
)

func TestImageOfTheDockerfile(t *testing.T) {
	e := podmantest.New(t)
	toolchain(t, e)
	i := build(t, e, "registry.example.com/etcd-rolling-backup:1", "amd64")
	t.Run("configuration", i.configuration)
	t.Run("contents", i.contents)
	t.Run("equal sources", i.equal)
	t.Run("other base", i.otherBase)
	t.Run("arm64", i.arm64)
	t.Run("bad days", i.badDays)
	t.Run("daemon", i.daemon)
	t.Run("documents", i.documents)
	t.Run("compose", i.compose)
}

func (i image) configuration(t *testing.T) {
	const format = `{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.Volumes}} {{.Config.StopSignal}} {{.HealthCheck.Test}} {{.Config.Env}}`
	want := "65532:65532 [/usr/local/bin/etcd-rolling-backup] [] map[/backup:{}] SIGTERM [CMD /usr/local/bin/etcd-rolling-backup health] " +
		"[PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ETCD_BACKUP_DIR=/backup]"
	if got := podmantest.Do(t, i.Podman("inspect", "--format", format, i.name)); got != want {
		t.Errorf("the image has\n%s, want\n%s", got, want)
	}
	label := podmantest.Do(t, i.Podman("inspect", "--format", `{{index .Config.Labels "org.opencontainers.image.version"}}`, i.name))
	if status, out := i.run(t, "--rm", "NAME", "--version"); label != version || status != 0 || out != "etcd-rolling-backup version "+version {
		t.Errorf("label %s; status %d, %s", label, status, out)
	}
}

// files are those of the image, with owner and mode; content takes the program.
func (i image) files(t *testing.T, content io.Writer) (files []string) {
	t.Helper()
	container := podmantest.Do(t, i.Podman("create", i.name))
	container = container[strings.LastIndex(container, "\n")+1:] // after a warning about another architecture
	path := filepath.Join(t.TempDir(), "root.tar")
	podmantest.Do(t, i.Podman("export", "--output="+path, container))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		files = append(files, fmt.Sprintf("%s %d:%d %s", strings.Trim(h.Name, "/"), h.Uid, h.Gid, h.FileInfo().Mode()))
		if strings.HasSuffix(h.Name, "bin/etcd-rolling-backup") {
			_, err = io.Copy(content, r)
			must(t, err)
		}
	}
}

func (i image) contents(t *testing.T) {
	got := i.files(t, io.Discard)
	got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, " drwxr-xr-x") && strings.Contains(s, " 0:0 ") })
	slices.Sort(got)
	want := []string{
		"backup 65532:65532 drwx------", "etc/ssl/certs/ca-certificates.crt 0:0 -rw-r--r--", "usr/local/bin/etcd-rolling-backup 0:0 -rwxr-xr-x",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the image contains %q, want %q", got, want)
	}
}

func (i image) equal(t *testing.T) {
	layers := func(x image) string {
		return podmantest.Do(t, x.Podman("inspect", "--format={{.RootFS.Layers}}", x.name))
	}
	again := build(t, i.Engine, "registry.example.com/etcd-rolling-backup:again", "amd64", "--no-cache")
	if a, b := layers(i), layers(again); a != b {
		t.Errorf("two builds have the layers %s and %s", a, b)
	}
}

// The other base has files of its own, as a distroless one has.
func (i image) otherBase(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(root+"/etc", 0o755))
	must(t, os.WriteFile(root+"/etc/passwd", []byte("nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"), 0o644))
	const base = "gcr.io/distroless/static-debian12:latest"
	i.Commit(t, root, base)
	other := build(t, i.Engine, "registry.example.com/etcd-rolling-backup:distroless", "amd64", "--build-arg=BASE="+base)
	files := other.files(t, io.Discard)
	for _, want := range []string{"etc/passwd 0:0 -rw-r--r--", "backup 65532:65532 drwx------"} {
		if !slices.Contains(files, want) {
			t.Errorf("%s is not in %q", want, files)
		}
	}
}

func (i image) arm64(t *testing.T) {
	arm := build(t, i.Engine, "registry.example.com/etcd-rolling-backup:arm64", "arm64")
	if got := podmantest.Do(t, arm.Podman("inspect", "--format={{.Architecture}}", arm.name)); got != "arm64" {
		t.Errorf("the image is for %s", got)
	}
	program, err := os.Create(filepath.Join(t.TempDir(), "program"))
	must(t, err)
	defer program.Close()
	arm.files(t, program)
	header, err := elf.NewFile(program)
	must(t, err)
	libraries, err := header.ImportedLibraries()
	must(t, err)
	if header.Machine != elf.EM_AARCH64 || len(libraries) > 0 {
		t.Errorf("the program is for %s and needs %q", header.Machine, libraries)
	}
}

// What a container gets wrong is one line that says what and where, and its exit status is not 0.
func (i image) badDays(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true})
	save := func(keys, dir int, more ...string) []string {
		certs, flags := pki(t, c, keys)
		volume := "--volume=" + directory(t, dir) + ":/backup"
		if slices.Contains(more, "ro") {
			volume, more = volume+":ro", more[1:]
		}
		return slices.Concat([]string{"--rm", certs, volume}, more, []string{"NAME", "save"}, flags)
	}
	for name, x := range map[string]struct {
		args   []string
		status int
		want   string // in the last line
	}{
		"no arguments":       {[]string{"--rm", "NAME"}, 2, "no command is given: run it with one, such as daemon"},
		"a snapshot":         {save(user, user), 0, "took "},
		"unreadable key":     {save(0, user), 1, "/pki/client.key: permission denied (this process is user 65532"},
		"wrong user":         {save(1000, user, "--user=1000:1000"), 2, "/backup: permission denied (this process is user"},
		"directory of root":  {save(user, 0), 2, "/backup: permission denied (this process is user"},
		"read-only volume":   {save(user, user, "ro"), 1, "/backup: read-only file system"},
		"no credential":      {save(user, user, "--env=ETCD_BACKUP_S3_BUCKET=backups", "--env=ETCD_BACKUP_S3_ACCESS_KEY_FILE=/run/secrets/access", "--env=ETCD_BACKUP_S3_SECRET_KEY_FILE=/run/secrets/secret"), 2, "/run/secrets/access"},
		"health, no daemon":  {[]string{"--rm", "--env=ETCD_BACKUP_LISTEN=127.0.0.1:1", "NAME", "health"}, 1, "no answer from a daemon on 127.0.0.1:1"},
		"zone without files": {[]string{"--rm", "NAME", "check", "--endpoints=127.0.0.1:1", "--schedule=CRON_TZ=Europe/Paris 0 3 * * *", "--listen=off"}, 1, "check"},
		"unknown zone":       {[]string{"--rm", "NAME", "check", "--schedule=CRON_TZ=Europe/Paradise 0 3 * * *"}, 2, "Europe/Paradise"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := i.run(t, x.args...)
			last := out[strings.LastIndex(out, "\n")+1:]
			if status != x.status || !strings.Contains(last, x.want) {
				t.Errorf("status %d, want %d; %q is not in the last line of\n%s", status, x.status, x.want, out)
			}
		})
	}
}

// A daemon as the image's own user, and one as root for the keys of kubeadm: healthy, then not, stopped by SIGTERM, and its snapshot is intact.
func (i image) daemon(t *testing.T) {
	for name, uid := range map[string]int{"user of the image": user, "root": 0} {
		t.Run(name, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true})
			certs, flags := pki(t, c, uid)
			dir := directory(t, uid)
			_, listen := free(t)
			volume, as := "--volume="+dir+":/backup", "--user="+ids(uid)
			i.start(t, "daemon", slices.Concat([]string{certs, volume, as, listen, "NAME", "daemon", "--schedule=@every 1s"}, flags)...)
			eventually(t, func() error { return i.healthcheck("daemon") })
			must(t, c.Members[0].Kill())
			eventually(t, func() error {
				if i.healthcheck("daemon") == nil {
					return fmt.Errorf("healthy without etcd")
				}
				return nil
			})
			if out := podmantest.Do(t, i.Podman("exec", "daemon", "/usr/local/bin/etcd-rolling-backup", "health", "--live")); out != "ok" {
				t.Error(out)
			}
			if status := i.stop(t, "daemon"); status != "0" {
				t.Errorf("exit status %s after SIGTERM", status)
			}
			if status, out := i.run(t, "--rm", volume, as, "NAME", "verify"); status != 0 || !strings.Contains(out, " is intact") {
				t.Errorf("status %d: %s", status, out)
			}
			files, err := filepath.Glob(dir + "/rolling_node-a_*.db.zst")
			must(t, err)
			for _, f := range files {
				info, err := os.Stat(f)
				must(t, err)
				if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != uid || info.Mode().Perm() != 0o600 {
					t.Errorf("%s belongs to %d, mode %s", f, s.Uid, info.Mode())
				}
			}
			if partials, err := filepath.Glob(dir + "/*.part"); err != nil || len(files) == 0 || len(partials) > 0 {
				t.Errorf("%d snapshots, partials %q, %v", len(files), partials, err)
			}
		})
	}
}
