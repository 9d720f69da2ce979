package doctest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/s3test"
)

// disasters are what has happened when a section of the runbook is opened: machines with backups and a cluster that is lost. Each
// section that shows commands has one.
func disasters() map[string]func(t *testing.T, p *place) *bed {
	return map[string]func(t *testing.T, p *place) *bed{
		"Restore an etcd cluster":                        oneChanged,
		"Somebody deleted something":                     oneChanged,
		"Back to a moment":                               allDeleted,
		"Which snapshot?":                                oneChanged,
		"One member of several is lost: do not restore":  oneOfThreeLost,
		"Several members, from one node's disk":          quorumLost,
		"Several members, from S3":                       allLostWithBucket,
		"A fresh machine, from S3":                       freshMachine,
		"kubeadm":                                        kubeadmThreeChanged,
		"systemd, with directories of your own":          ownDirectories,
		"RKE and old rke-tools archives":                 rkeChanged,
		"k3s and RKE2 archives":                          k3sArchive,
		"A laptop with nothing but zstd and etcdutl":     laptop,
		"Check the restored cluster":                     quorumBack,
		"Practice":                                       oneChanged,
		"Look at a snapshot first":                       oneToLookAt,
		"The quorum is lost: take a last snapshot first": quorumLost,
		"One survivor of three":                          quorumLost,
		"kubeadm, from S3":                               kubeadmLostWithBucket,
	}
}

// one is a machine with etcd and a backup.
func one(t *testing.T, p *place) *bed {
	b := newBed(t, p, false, "node-a")
	b.machines[0].systemd(t, b.machines)
	b.up(t)
	return b
}

// oneChanged has lost what was there when the snapshot was taken: someone removed it.
func oneChanged(t *testing.T, p *place) *bed {
	b := one(t, p)
	b.backup(t, "", nil)
	return b
}

// allDeleted has a journal, in which somebody's mistake is the last change.
func allDeleted(t *testing.T, p *place) *bed {
	b := one(t, p)
	m := b.machines[0]
	var mistake int64
	b.fill(t)
	m.replace = strings.NewReplacer("/etc/", m.root+"/etc/")
	m.daemon(t, "exec etcd-rolling-backup daemon --journal", func(string) bool {
		switch {
		case mistake == 0 && m.hasSnapshot(t):
			b.goOn(t)
			m.awaitJournal(t)
			b.outside = append(b.outside, shownMoment, time.Now().UTC().Format(time.RFC3339Nano))
			if _, err := m.dial(t).Delete(t.Context(), "/registry/", clientv3.WithPrefix()); err != nil {
				t.Fatal(err)
			}
			mistake = m.awaitJournal(t)
		case mistake > 0:
			return true
		}
		return false
	})
	return b
}

// awaitJournal returns the cluster's revision when the journal has it.
func (m *machine) awaitJournal(t *testing.T) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	r, err := m.dial(t).Get(ctx, "/registry/")
	if err == nil {
		err = proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
			return journaltest.Revision(t, m.has("/var/lib/etcd-rolling-backup")) >= r.Header.Revision, nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

// oneToLookAt has free ports for a second etcd.
func oneToLookAt(t *testing.T, p *place) *bed {
	b := oneChanged(t, p)
	ports, err := proctest.ReservePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	b.outside = append(b.outside, "127.0.0.1:12379", ports[0], "127.0.0.1:12380", ports[1])
	return b
}

func three(t *testing.T, p *place) *bed {
	b := newBed(t, p, true, "node-a", "node-b", "node-c")
	for _, m := range b.machines {
		m.systemd(t, b.machines)
	}
	b.up(t)
	return b
}

// lose ends an etcd like a power cut, and takes its database away.
func (m *machine) lose(t *testing.T) {
	t.Helper()
	if err := m.etcd.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(m.has(m.dataDir+"/member/snap/db"), 100); err != nil {
		t.Fatal(err)
	}
}

func oneOfThreeLost(t *testing.T, p *place) *bed {
	b := three(t, p)
	b.fill(t)
	settle(t)
	b.machines[2].lose(t)
	return b
}

func quorumLost(t *testing.T, p *place) *bed {
	b := three(t, p)
	b.backup(t, "", nil)
	b.machines[1].lose(t)
	b.machines[2].lose(t)
	return b
}

// quorumBack is a cluster that someone has just restored.
func quorumBack(t *testing.T, p *place) *bed {
	b := three(t, p)
	b.fill(t)
	return b
}

// bucket makes one in a MinIO, and settings for it on the machines.
func (b *bed) bucket(t *testing.T) {
	t.Helper()
	s := s3test.Run(t, s3test.Options{TLS: true})
	if err := s.MakeBucket(t.Context(), "backups", s3test.BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	b.outside = append(b.outside, "minio.example.com:9000", s.Endpoint())
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range b.machines {
		const dir = "/etc/etcd-rolling-backup/"
		m.write(t, dir+"s3-ca.crt", string(ca))
		m.write(t, dir+"s3-access-key", s.AccessKey+"\n")
		m.write(t, dir+"s3-secret-key", s.SecretKey+"\n")
		m.write(t, config.DefaultFile, fmt.Sprintf("s3-endpoint: %s\ns3-ca: %s\ns3-bucket: backups\ns3-folder: cluster-a\n"+
			"s3-access-key-file: %s\ns3-secret-key-file: %s\n",
			s.Endpoint(), m.has(dir+"s3-ca.crt"), m.has(dir+"s3-access-key"), m.has(dir+"s3-secret-key")))
	}
}

// mirror takes a snapshot that is in the bucket too.
func (b *bed) mirror(t *testing.T) {
	t.Helper()
	b.backup(t, "", func(out string) bool { return strings.Contains(out, "msg=mirrored") })
}

// allLostWithBucket leaves nothing but the bucket.
func allLostWithBucket(t *testing.T, p *place) *bed {
	b := three(t, p)
	b.bucket(t)
	b.mirror(t)
	b.outside = append(b.outside, shownSnapshot, onlySnapshot(t, b.machines[0]))
	for _, m := range b.machines {
		m.lose(t)
		if err := os.RemoveAll(m.dir); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func onlySnapshot(t *testing.T, m *machine) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.dir, "rolling_*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	return filepath.Base(found[0])
}

// freshMachine is another one than that which is gone, with etcd under the old name and a new address.
func freshMachine(t *testing.T, p *place) *bed {
	b := one(t, p)
	b.bucket(t)
	b.mirror(t)
	b.outside = append(b.outside, shownSnapshot, onlySnapshot(t, b.machines[0]))
	gone := b.machines[0]
	if err := gone.etcd.Kill(); err != nil {
		t.Fatal(err)
	}
	b.machines = nil
	m := b.add(t, "node-a", "10.0.0.9")
	m.systemd(t, b.machines)
	for _, name := range []string{"s3-ca.crt", "s3-access-key", "s3-secret-key"} {
		text, err := os.ReadFile(gone.has("/etc/etcd-rolling-backup/" + name))
		if err != nil {
			t.Fatal(err)
		}
		m.write(t, "/root/"+name, string(text))
	}
	b.outside = append(b.outside, "/root/s3-", m.has("/root/s3-"), gone.address+":2380", gone.peer)
	return b
}

func ownDirectories(t *testing.T, p *place) *bed {
	b := newBed(t, p, false, "node-a")
	m := b.machines[0]
	m.dataDir = "/var/lib/etcd/default"
	if err := os.MkdirAll(m.has("/var/lib/etcd"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.systemd(t, b.machines, "WAL_DIR="+m.has("/var/lib/etcd-wal"))
	b.up(t)
	b.backup(t, "", nil)
	return b
}

// await waits for etcd where nothing that starts it does.
func (b *bed) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	for _, m := range b.machines {
		if err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) { return m.healthy(ctx) == nil, nil }); err != nil {
			t.Fatalf("wait for etcd of %s: %v", m.name, err)
		}
	}
}

// kubeadmBed has control plane nodes that run.
func kubeadmBed(t *testing.T, p *place, names ...string) *bed {
	b := newBed(t, p, true, names...)
	for _, m := range b.machines {
		m.kubeadm(t)
	}
	b.await(t)
	return b
}

func kubeadmChanged(t *testing.T, p *place) *bed {
	b := kubeadmBed(t, p, "node-a")
	b.backup(t, "", nil)
	return b
}

// kubeadmThreeChanged has three control plane nodes.
func kubeadmThreeChanged(t *testing.T, p *place) *bed {
	b := kubeadmBed(t, p, "node-a", "node-b", "node-c")
	b.backup(t, "", nil)
	return b
}

// kubeadmLostWithBucket has three control plane nodes and snapshots in the bucket only.
func kubeadmLostWithBucket(t *testing.T, p *place) *bed {
	b := kubeadmBed(t, p, "node-a", "node-b", "node-c")
	b.bucket(t)
	b.mirror(t)
	b.outside = append(b.outside, shownSnapshot, onlySnapshot(t, b.machines[0]))
	for _, m := range b.machines {
		if err := os.RemoveAll(m.dir); err != nil {
			t.Fatal(err)
		}
	}
	return b
}
