package doctest

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/s3test"
)

const runbook = "../../docs/RESTORE.md"

// disasters are what has happened when a section of the runbook is opened: machines with backups and a cluster that is lost. Each
// section that shows commands has one.
func disasters() map[string]func(t *testing.T, p *place) *bed {
	return map[string]func(t *testing.T, p *place) *bed{
		"Restore an etcd cluster":                       oneChanged,
		"Which snapshot?":                               oneChanged,
		"One member of several is lost: do not restore": oneOfThreeLost,
		"Several members, from one node's disk":         quorumLost,
		"Several members, from S3":                      allLostWithBucket,
		"A fresh machine, from S3":                      freshMachine,
		"kubeadm":                                       kubeadmThreeChanged,
		"systemd, with directories of your own":         ownDirectories,
		"RKE and old rke-tools archives":                rkeChanged,
		"k3s and RKE2 archives":                         k3sArchive,
		"A laptop with nothing but zstd and etcdutl":    laptop,
		"Check the restored cluster":                    quorumBack,
		"Practice":                                      oneChanged,
	}
}

// checks are what may stand behind "then" in a mark.
func checks() map[string]func(t *testing.T, b *bed) {
	return map[string]func(t *testing.T, b *bed){
		"the snapshot is back":         func(t *testing.T, b *bed) { b.wantKeys(t, snapshotKeys(), false) },
		"the snapshot is back, raised": func(t *testing.T, b *bed) { b.wantKeys(t, snapshotKeys(), true) },
		"the later keys are there":     func(t *testing.T, b *bed) { b.wantKeys(t, laterKeys(), false) },
		"nothing runs": func(t *testing.T, b *bed) {
			for _, m := range b.machines {
				if m.etcd.PID() != 0 {
					t.Errorf("etcd runs on %s", m.name)
				}
			}
		},
		"etcd starts on /var/tmp/restored-etcd": startsOnLaptop,
	}
}

// Every command of the runbook is carried out, in its order, in the situation that its section is for.
func TestRunbook(t *testing.T) {
	p := newPlace(t)
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	disasters := disasters()
	for _, s := range sections(t, string(text)) {
		prepare := disasters[s.title]
		delete(disasters, s.title)
		if prepare == nil {
			t.Errorf("no disaster for the section %q", s.title)
			continue
		}
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			s.carryOut(t, prepare(t, p))
		})
		if s.title == "kubeadm" { // with one control plane node too, which has no need of some steps
			t.Run(s.title+" alone", func(t *testing.T) {
				t.Parallel()
				s.carryOut(t, kubeadmChanged(t, p))
			})
		}
	}
	for title := range disasters {
		t.Errorf("no section %q with commands", title)
	}
}

// section is a heading and the blocks below it.
type section struct {
	title  string
	blocks []block
}

// carryOut runs all blocks in their order.
func (s section) carryOut(t *testing.T, b *bed) {
	t.Helper()
	for i, step := range s.blocks {
		if step.shell() {
			b.carryOut(t, step, outputOf(s.blocks[i+1:]))
		}
	}
	for name, background := range b.background {
		b.end(t, name, background)
	}
}

// sections are those with commands.
func sections(t *testing.T, text string) []section {
	t.Helper()
	all, err := blocks(text)
	if err != nil {
		t.Fatal(err)
	}
	var out []section
	inside := false
	for i, line := range strings.Split(text, "\n") {
		heading := regexp.MustCompile(`^##? (.*)$`).FindStringSubmatch(line)
		switch fence := strings.HasPrefix(strings.TrimSpace(line), "```"); {
		case fence:
			inside = !inside
			if inside {
				last := &out[len(out)-1]
				last.blocks = append(last.blocks, all[0])
				all = all[1:]
			}
		case !inside && heading != nil:
			out = append(out, section{title: heading[1]})
		case !inside && strings.HasPrefix(line, "#"):
			t.Errorf("line %d: a heading of a third level is none that has a disaster", i+1)
		}
	}
	var shown []section
	for _, s := range out {
		for _, b := range s.blocks {
			if b.shell() {
				shown = append(shown, s)
				break
			}
		}
	}
	return shown
}

// outputOf is the block right behind a command that shows what it says.
func outputOf(rest []block) *block {
	if len(rest) > 0 && rest[0].mark == "output" {
		return &rest[0]
	}
	return nil
}

var stepMark = regexp.MustCompile(`^run by TestRunbook: (if there are several, )?on (each node|each other node|the laptop|[\w-]+)` +
	`( at once|, with its name|)(, in the background until it says .+|, fails|)(?:; then (.*))?$`)

const backgroundMark = ", in the background until it says "

// where are the machines that a mark means.
func (b *bed) where(t *testing.T, step block, words string) []*machine {
	t.Helper()
	switch words {
	case "each node":
		return b.machines
	case "each other node":
		return b.machines[1:]
	}
	for _, m := range b.machines {
		if m.name == strings.TrimPrefix(words, "the ") {
			return []*machine{m}
		}
	}
	t.Fatalf("line %d: there is no %s", step.line, words)
	return nil
}

// carryOut runs a block where its mark says.
func (b *bed) carryOut(t *testing.T, step block, output *block) {
	t.Helper()
	mark := stepMark.FindStringSubmatch(step.mark)
	if mark == nil {
		t.Fatalf("line %d: %q is no mark of the runbook", step.line, step.mark)
	}
	if mark[1] != "" && len(b.machines) == 1 {
		return
	}
	on := b.where(t, step, mark[2])
	for _, m := range on {
		if background := b.background[m.name]; background != nil {
			b.end(t, m.name, background)
		}
		m.translate(t)
	}
	var err error
	switch {
	case strings.HasPrefix(mark[4], backgroundMark):
		err = b.begin(t, on[0], step, strings.TrimPrefix(mark[4], backgroundMark))
	case mark[3] == " at once":
		err = eachAtOnce(on, func(m *machine) error { return m.step(t.Context(), step, output, false) })
	default:
		for _, m := range on {
			mine := step
			if mark[3] == ", with its name" {
				mine.text = regexp.MustCompile(`--name node-\w`).ReplaceAllString(step.text, "--name "+m.name)
			}
			err = errors.Join(err, m.step(t.Context(), mine, output, mark[4] != ""))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if mark[5] == "" {
		return
	}
	check := checks()[mark[5]]
	if check == nil {
		t.Fatalf("line %d: there is no check %q", step.line, mark[5])
	}
	check(t, b)
	if t.Failed() {
		t.Fatalf("line %d: after this block", step.line)
	}
}

// step runs a block to its end.
func (m *machine) step(ctx context.Context, step block, output *block, fails bool) error {
	ctx, cancel := context.WithTimeout(ctx, processLimit)
	defer cancel()
	cmd := m.command(ctx, step.text)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with all that it started
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || (err != nil) != fails {
		return fmt.Errorf("line %d on %s: %s\n%s\n%s", step.line, m.name, fmt.Sprint(err), step.text, out[max(0, len(out)-proctest.TailSize):])
	}
	if output == nil {
		return nil
	}
	return m.shows(*output, string(out))
}

// begin runs a block that goes on, and waits until it says something.
func (b *bed) begin(t *testing.T, m *machine, step block, says string) error {
	t.Helper()
	started := m.start(t, step.text)
	b.background[m.name] = started
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		select {
		case <-started.ended:
			return false, errors.New("ended by itself")
		default:
			return strings.Contains(started.output(t), says), nil
		}
	})
	if err != nil {
		return fmt.Errorf("line %d on %s: wait for %q: %w\n%s", step.line, m.name, says, err, started.output(t))
	}
	return nil
}

// end is Ctrl-C.
func (b *bed) end(t *testing.T, name string, p *process) {
	t.Helper()
	delete(b.background, name)
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Errorf("end %s: %v", p.cmd, err)
	}
	limit := time.NewTimer(processLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		t.Errorf("goes on after Ctrl-C; killed: %v", syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.ended
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
		m.write(t, dir+"s3.yaml", fmt.Sprintf("s3-endpoint: %s\ns3-ca: %s\ns3-bucket: backups\ns3-folder: cluster-a\n"+
			"s3-access-key-file: %s\ns3-secret-key-file: %s\n",
			s.Endpoint(), m.has(dir+"s3-ca.crt"), m.has(dir+"s3-access-key"), m.has(dir+"s3-secret-key")))
	}
}

// mirror takes a snapshot that is in the bucket too.
func (b *bed) mirror(t *testing.T) {
	t.Helper()
	b.backup(t, " --config /etc/etcd-rolling-backup/s3.yaml", func(out string) bool { return strings.Contains(out, "msg=mirrored") })
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

func kubeadmChanged(t *testing.T, p *place) *bed {
	b := newBed(t, p, true, "node-a")
	b.machines[0].kubeadm(t)
	b.await(t)
	b.backup(t, "", nil)
	return b
}

// kubeadmThreeChanged has three control plane nodes.
func kubeadmThreeChanged(t *testing.T, p *place) *bed {
	b := newBed(t, p, true, "node-a", "node-b", "node-c")
	for _, m := range b.machines {
		m.kubeadm(t)
	}
	b.await(t)
	b.backup(t, "", nil)
	return b
}

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
