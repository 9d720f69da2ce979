package rketools_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// Zips of rke-tools, and what is none of ours.
const (
	oldZip    = "2020-01-01T00:00:00Z_etcd.zip"
	oldRaw    = "2020-01-02T00:00:00Z_etcd"
	important = "2020-01-01T00:00:00Z_manual-important.zip"
)

func TestRollingTakesAndPrunesByAge(t *testing.T) {
	c, h := sharedEtcd(t), newHost(t)
	recent := time.Now().UTC().Add(-10*time.Minute).Format(time.RFC3339) + "_etcd.zip"
	for _, name := range []string{oldZip, oldRaw, important, "snap1.zip", recent, "pki.bundle.tar.gz", "c-abc12-rl-xyz98_2020-01-01T00:00:00Z.zip"} {
		h.write("backup/"+name, "of another program")
	}
	r := h.rolls(c.Members[0], c.PKI, "--creation=1s", "--retention=1h")
	names := h.saved(3)
	r.says("pruned=2")
	r.ends()
	for _, name := range []string{oldZip, oldRaw} {
		if h.has("backup/" + name) {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range []string{important, "snap1.zip", recent, "pki.bundle.tar.gz", "c-abc12-rl-xyz98_2020-01-01T00:00:00Z.zip"} {
		if h.read("backup/"+name) != "of another program" {
			t.Errorf("%s was changed", name)
		}
	}
	name := names[len(names)-1]
	if m := h.healthy(name); m.ClusterID == 0 || m.Node == "" || m.Name != name {
		t.Errorf("the manifest says %+v", m)
	}
	info, err := os.Stat(h.path("backup/" + name))
	must(t, err)
	if info.Mode().Perm() != 0o600 || !regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ_etcd\.zip$`).MatchString(name) {
		t.Errorf("%s has mode %s", name, info.Mode())
	}
	if got := h.partials(); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
}

func TestRollingKeepsOnlyWhatIsYoungerThanTheRetention(t *testing.T) {
	c, h := sharedEtcd(t), newHost(t)
	r := h.rolls(c.Members[0], c.PKI, "--creation", "1s", "--retention", "2s")
	first := h.saved(1)[0]
	eventually(t, "the first was pruned", func() bool { return !h.has("backup/" + first) })
	r.ends()
	if n := len(h.zips()); n < 1 || n > 3 {
		t.Errorf("%d snapshots are left", n)
	}
}

// A restart goes on with the schedule, unless the newest zip is another program's: that one may be cut off.
func TestRollingRestartedTakesNoFurtherSnapshotBeforeItIsDue(t *testing.T) {
	c, h := sharedEtcd(t), newHost(t)
	h.write("backup/"+time.Now().UTC().Add(-time.Second).Format(time.RFC3339)+"_etcd.zip", "PK and not the rest")
	r := h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
	h.saved(2)
	r.says("snapshot saved")
	r.ends()
	r = h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
	r.says("msg=started")
	r.ends()
	if n := len(h.zips()); n != 2 {
		t.Errorf("%d snapshots", n)
	}
}

func TestRollingIncludesTheStateFile(t *testing.T) {
	c := sharedEtcd(t)
	_, indented := exampleState(t)
	for situation, script := range map[string]string{"there": "cat object", "missing": "echo gone >&2; exit 1"} {
		t.Run(situation, func(t *testing.T) {
			h := newHost(t)
			must(t, os.MkdirAll(h.path("etc/kubernetes/ssl"), 0o755))
			must(t, os.MkdirAll(h.path("usr/local/bin"), 0o755))
			compact, _ := exampleState(t)
			h.write("object", kubeObject(t, compact)) // a ConfigMap
			if situation == "there" {
				h.write("etc/kubernetes/ssl/kubecfg-kube-node.yaml", "")
			}
			must(t, os.WriteFile(h.path("usr/local/bin/kubectl"), []byte("#!/bin/sh\ncd "+h.root+"\ncase \"$*\" in *secret*) exit 1;; esac\n"+script), 0o700))
			t.Setenv("ETCD_BACKUP_LISTEN", "127.0.0.1:0")
			r := h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
			name := strings.TrimSuffix(h.saved(1)[0], ".zip")
			if situation == "there" {
				r.metric("state_file_included", "1")
				h.must("extractstatefile", "--name", name)
				if got := h.read("tmp/cluster.rkestate"); got != indented {
					t.Errorf("extracted %q", got)
				}
			} else {
				r.says("the snapshot does not include the state file of RKE's cluster")
				r.metric("state_file_included", "0")
			}
			wantNoKey(t, errors.New(r.out.String()))
		})
	}
}

func TestRollingServesMetricsOnlyIfAsked(t *testing.T) {
	c := sharedEtcd(t)
	h := newHost(t)
	r := h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
	r.says("snapshot saved")
	if strings.Contains(r.out.String(), "msg=listening") {
		t.Error("it listens")
	}
	r.ends()

	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	t.Setenv("ETCD_BACKUP_LISTEN", taken.Addr().String())
	t.Setenv("ETCD_BACKUP_SCHEDULE", "@hourly")
	h = newHost(t)
	r = h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
	r.says("metrics and status page are not served; backups continue")
	r.says("environment variable matches no flag and has no effect\" variable=ETCD_BACKUP_SCHEDULE")
	r.says("snapshot saved")
	r.ends()
	if strings.Contains(r.out.String(), "RKE_ROOT") {
		t.Error("it warns of its own variable")
	}
}

// metric waits until a metric has a value.
func (r *rolling) metric(name, value string) {
	r.t.Helper()
	r.says("msg=listening")
	m := regexp.MustCompile(`msg=listening address="?([0-9.]+:[0-9]+)`).FindStringSubmatch(r.out.String())
	eventually(r.t, name+" was "+value, func() bool {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+m[1]+"/metrics", nil)
		must(r.t, err)
		client := &http.Client{Timeout: waitLimit}
		defer client.CloseIdleConnections()
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var body output
		_, err = body.buf.ReadFrom(res.Body)
		return err == nil && strings.Contains(body.String(), "\netcd_rolling_backup_"+name+" "+value+"\n")
	})
}

func TestRollingStaysUpWhileEtcdIsAway(t *testing.T) {
	c, err := etcdtest.Start(t.Context(), etcdtest.Options{TLS: true})
	must(t, err)
	defer func() { must(t, c.Stop()) }()
	must(t, c.Members[0].Stop())
	h := newHost(t)
	h.write("backup/"+oldZip, "")
	r := h.rolls(c.Members[0], c.PKI, "--creation=2s", "--retention=1h")
	r.says("snapshot failed")
	if !h.has("backup/" + oldZip) {
		t.Error("it was pruned without a new snapshot")
	}
	must(t, c.Members[0].Restart(t.Context()))
	eventually(t, "the old one was pruned", func() bool { return !h.has("backup/" + oldZip) })
	h.healthy(h.saved(1)[0])
	r.ends()
}

func TestRollingUploadsWhatFailedBefore(t *testing.T) {
	b, c, h := newBucket(t, s3test.BucketOptions{}), sharedEtcd(t), newHost(t)
	proxy := s3test.RunProxy(t, b.target)
	b.put("one/"+oldZip, "of another node")
	b.put("one/deeper/"+oldZip, "of another cluster")
	b.put("one/"+important, "of a person")
	b.put(oldZip, "of another cluster")
	must(t, proxy.Down())
	r := h.rolls(c.Members[0], c.PKI, append(b.flags("--s3-endpoint="+proxy.Endpoint(), "--s3-folder=one"), "--creation=1s", "--retention=1h")...)
	r.says("mirroring failed; local snapshots are safe")
	h.saved(2)
	must(t, proxy.Up())
	eventually(t, "all were uploaded", func() bool { return strings.Count(strings.Join(b.keys(), " "), "_etcd.zip") >= len(h.zips()) })
	eventually(t, "the old one was pruned", func() bool { return !slices.Contains(b.keys(), "one/"+oldZip) })
	r.ends()
	for _, key := range []string{"one/deeper/" + oldZip, "one/" + important, oldZip} {
		if !slices.Contains(b.keys(), key) {
			t.Errorf("%s is gone", key)
		}
	}
	for _, secret := range []string{b.target.SecretKey, os.Getenv("S3_SECRET_KEY"), os.Getenv("S3_ACCESS_KEY")} {
		if strings.Contains(r.out.String(), secret) {
			t.Error("a key is in the log")
		}
	}
}
