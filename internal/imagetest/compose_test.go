//go:build image

package imagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/podmantest"
	"etcd-rolling-backup/internal/proctest"
)

// service has the parts of the compose file that the test uses.
type service struct {
	Image               string
	Entrypoint, Command []string
	Environment         map[string]string
	ReadOnly            bool     `yaml:"read_only"`
	Volumes             []string `yaml:"volumes"`
}

// compose starts the services one by one with the values of the compose file. Only addresses and directories are others: etcd, MinIO and
// Prometheus are programs of this machine, and the daemon is the container.
func (i image) compose(t *testing.T) {
	text, err := os.ReadFile(repository + "/packaging/compose.yaml")
	must(t, err)
	var file struct{ Services map[string]service }
	must(t, yaml.Unmarshal(text, &file))
	for name, s := range file.Services {
		if tag := s.Image[strings.LastIndex(s.Image, ":")+1:]; tag == "latest" || strings.Contains(tag, "/") {
			t.Errorf("the image %s of %s is not pinned", s.Image, name)
		}
	}
	if !file.Services["etcd-rolling-backup"].ReadOnly {
		t.Error("the daemon's root is not read-only")
	}
	ports, err := proctest.ReservePorts(6)
	must(t, err)
	dir := t.TempDir()
	here := strings.NewReplacer(
		"0.0.0.0:2379", ports[0], "etcd:2379", ports[0], "minio:9000", ports[1], " :9000", " "+ports[1], " :9001", " "+ports[2],
		"etcd-rolling-backup:9979", ports[3], "/var/lib/etcd", dir+"/etcd", "/data", dir+"/minio", "=/prometheus", "="+dir+"/prometheus",
		"/etc/prometheus/", dir+"/etc/",
	)
	start := func(name, program string, ready string, args ...string) {
		t.Helper()
		s := &proctest.Server{Name: name, Program: program, Args: args, Env: proctest.Environ(), LogPath: filepath.Join(dir, name+".log")}
		for k, v := range file.Services[name].Environment {
			s.Env = append(s.Env, k+"="+v)
		}
		s.Env = append(s.Env, "PATH="+filepath.Dir(must1(t, proctest.Program, "minio"))+":"+os.Getenv("PATH"))
		s.Probe = func(ctx context.Context) error { return get(ctx, ready, nil) }
		must(t, s.Run(t.Context()))
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("%s", s.Tail(0))
			}
		})
	}
	words := func(list []string) (out []string) {
		for _, w := range list {
			out = append(out, here.Replace(w))
		}
		return out
	}

	etcd, err := etcdtest.Program("3.6", "etcd")
	must(t, err)
	peer := "http://" + ports[4] // on this machine the usual port may be in use
	start("etcd", etcd, "http://"+ports[0]+"/health", append(words(file.Services["etcd"].Command[1:]),
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=node-a="+peer)...)
	minio := file.Services["minio"]
	start("minio", "/bin/sh", "http://"+ports[1]+"/minio/health/ready", words(append(minio.Entrypoint[1:], minio.Command...))...)

	ours := file.Services["etcd-rolling-backup"]
	args := []string{"--env=ETCD_BACKUP_LISTEN=" + ports[3], "--env=ETCD_BACKUP_MIN_FREE=0", "--volume=snapshots:/backup"}
	for k, v := range ours.Environment {
		args = append(args, "--env="+k+"="+here.Replace(v))
	}
	i.start(t, "compose", slices.Concat(args, []string{"NAME"}, ours.Command)...)
	eventually(t, func() error { return i.healthcheck("compose") })
	eventually(t, func() error {
		out, err := i.Podman("exec", "compose", "/usr/local/bin/etcd-rolling-backup", "list", "--from=s3").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "rolling_node-a_") {
			return fmt.Errorf("nothing in the bucket: %w\n%s", err, out)
		}
		return nil
	})

	// The files that the compose file mounts are at the places where Prometheus looks for them.
	for _, v := range file.Services["prometheus"].Volumes {
		from, to, _ := strings.Cut(strings.TrimSuffix(v, ":ro"), ":")
		if strings.HasPrefix(from, "./") {
			text, err := os.ReadFile(filepath.Join(repository, "packaging", from))
			must(t, err)
			to = here.Replace(to)
			must(t, os.MkdirAll(filepath.Dir(to), 0o755))
			must(t, os.WriteFile(to, []byte(here.Replace(string(text))), 0o644))
		}
	}
	start("prometheus", must1(t, proctest.Program, "prometheus"), "http://"+ports[5]+"/-/ready",
		append(words(file.Services["prometheus"].Command), "--web.listen-address="+ports[5])...)
	for _, expr := range []string{
		`etcd_rolling_backup_ready{job="etcd-rolling-backup"} == 1`, `prometheus_rule_group_rules > 10`,
	} {
		eventually(t, func() error {
			var answer struct{ Data struct{ Result []any } }
			err := get(t.Context(), "http://"+ports[5]+"/api/v1/query?query="+url.QueryEscape(expr), &answer)
			if err == nil && len(answer.Data.Result) == 0 {
				err = fmt.Errorf("%s has no series", expr)
			}
			return err
		})
	}
	if status := i.stop(t, "compose"); status != "0" {
		t.Errorf("exit status %s after SIGTERM", status)
	}
	podmantest.Do(t, i.Podman("volume", "inspect", "snapshots"))
}

func must1(t testing.TB, find func(string) (string, error), name string) string {
	t.Helper()
	path, err := find(name)
	must(t, err)
	return path
}

// get reads a URL and, where into is given, decodes its JSON.
func get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, res.Status)
	}
	if into == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(into)
}
