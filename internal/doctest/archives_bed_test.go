package doctest

import (
	"archive/zip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// etcdSave is what etcdctl saves, and so RKE and k3s.
func (b *bed) etcdSave(t *testing.T, env []string) []byte {
	t.Helper()
	m := b.machines[0]
	path := filepath.Join(t.TempDir(), "snapshot")
	if out, err := m.etcdctl(t.Context(), []string{"etcdctl", "snapshot", "save", path}, env...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// zipped writes an archive with one member.
func (m *machine) zipped(t *testing.T, path, member string, raw []byte) {
	t.Helper()
	var out strings.Builder
	z := zip.NewWriter(&out)
	w, err := z.Create(member)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	m.write(t, path, out.String())
}

func rkeChanged(t *testing.T, p *place) *bed {
	b := newBed(t, p, true, "node-a")
	m := b.machines[0]
	m.rke(t)
	b.up(t)
	b.await(t)
	b.fill(t)
	_, env := m.keyFlags("/etc/kubernetes/ssl/kube-ca.pem", "/etc/kubernetes/ssl/kube-etcd.pem", "/etc/kubernetes/ssl/kube-etcd-key.pem")
	m.zipped(t, "/opt/rke/etcd-snapshots/2026-11-21T22:00:00Z_etcd.zip", "backup/2026-11-21T22:00:00Z_etcd", b.etcdSave(t, env))
	b.goOn(t)
	m.write(t, "/etc/kubernetes/admin.conf", "apiVersion: v1\nkind: Config\n")
	return b
}

func k3sArchive(t *testing.T, p *place) *bed {
	b := one(t, p)
	b.fill(t)
	m := b.machines[0]
	m.zipped(t, "/var/lib/rancher/k3s/server/db/snapshots/etcd-snapshot-node-a-1795305600.zip", "etcd-snapshot-node-a-1795305600",
		b.etcdSave(t, []string{"ETCDCTL_ENDPOINTS=" + m.client}))
	b.goOn(t)
	return b
}

// laptop has an archive and no program of ours.
func laptop(t *testing.T, p *place) *bed {
	b := oneChanged(t, p)
	from := b.machines[0]
	archive, err := os.ReadFile(filepath.Join(from.dir, onlySnapshot(t, from)))
	if err != nil {
		t.Fatal(err)
	}
	if err := from.etcd.Kill(); err != nil {
		t.Fatal(err)
	}
	name := onlySnapshot(t, from)
	b.machines = nil
	m := b.add(t, "laptop", "10.0.0.20")
	b.outside = []string{shownSnapshot, name, "10.0.0.1:2380", m.peer}
	m.write(t, "/var/tmp/"+name, string(archive))
	m.path = m.root + "/bin"
	etcdutl, err := etcdtest.Program(etcdtest.Default, "etcdutl")
	if err != nil {
		t.Fatal(err)
	}
	zstd, err := exec.LookPath("zstd")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{etcdutl, zstd, "/bin/bash"} {
		if err := os.Symlink(program, filepath.Join(m.path, filepath.Base(program))); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func startsOnLaptop(t *testing.T, b *bed) {
	m := b.machines[0]
	m.flags = func(m *machine) ([]string, []string, error) {
		return []string{
			"--name=node-a", "--data-dir=" + m.has("/var/tmp/restored-etcd"),
			"--listen-client-urls=http://" + m.client, "--advertise-client-urls=http://" + m.client,
			"--listen-peer-urls=http://" + m.peer,
		}, nil, nil
	}
	if err := m.startEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantKeys(t, snapshotKeys(), false)
	if err := m.etcd.Stop(); err != nil {
		t.Fatal(err)
	}
}
