package doctest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/snapshot/restore"
)

// refusal is a command that says something in the runbook's table, and its exit status.
type refusal struct {
	command string
	status  int
}

// refusals are commands on a machine whose etcd runs.
func refusals() map[string]refusal {
	const keys = " --cacert /etc/etcd/ca.crt --cert /etc/etcd/member.crt --key /etc/etcd/member.key"
	return map[string]refusal{
		"data already exists":                              {"etcd-rolling-backup restore --data-dir /var/tmp/three", 2},
		"has its database open: stop it first":             {"etcd-rolling-backup restore --replace", 1},
		"the cluster still runs":                           {"etcd-rolling-backup restore --data-dir /var/tmp/x --name node-a /var/tmp/three/rolling.db.zst", 2},
		"another cluster":                                  {"etcd-rolling-backup restore --replace --ignore-running-members --data-dir /var/tmp/stopped --name node-a /var/tmp/three/rolling.db.zst", 2},
		"damaged:":                                         {"etcd-rolling-backup restore --replace --data-dir /var/tmp/x /var/tmp/damaged.db.zst", 3},
		"use --name to say which one this node is":         {"etcd-rolling-backup restore --data-dir /var/tmp/x /var/tmp/three/rolling.db.zst", 2},
		"is not among the members":                         {"etcd-rolling-backup restore --data-dir /var/tmp/x --name node-x", 2},
		"there is no snapshot yet":                         {"etcd-rolling-backup restore --data-dir /var/tmp/x --dir /var/tmp/three/empty", 1},
		"is serve running there, and is the port right?":   {"etcd-rolling-backup restore --data-dir /var/tmp/x --peer closed.port" + keys, 1},
		"--cacert is not the CA of the peer's certificate": {"etcd-rolling-backup restore --data-dir /var/tmp/x --peer strangers.peer" + keys, 1},
		"has snapshots of 2 clusters":                      {"etcd-rolling-backup restore --data-dir /var/tmp/x --dir /var/tmp/mixed", 2},
		"--skip-hash-check":                                {"etcd-rolling-backup restore --data-dir /var/tmp/x /var/tmp/copy.db", 1},
	}
}

// What the table of refusals says, the program says.
func TestRefusals(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## When restore refuses\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1)
	b := oneChanged(t, newPlace(t))
	m := b.machines[0]
	prepareRefusals(t, b)
	refusals := refusals()
	for _, row := range rows {
		says := row[1]
		if says == restore.ErrNoSpace.Error() {
			continue // takes a disk that is full
		}
		r := refusals[says]
		delete(refusals, says)
		if r.command == "" {
			t.Errorf("no command says %q", says)
			continue
		}
		out, err := m.command(t.Context(), r.command).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != r.status || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v, want exit status %d and %q\n%s", r.command, err, r.status, says, out)
		}
		if _, err := os.Lstat(m.has("/var/tmp/x")); err == nil {
			t.Errorf("%s: there is something now", r.command)
		}
	}
	for says := range refusals {
		t.Errorf("the table does not have %q", says)
	}
	b.wantKeys(t, laterKeys(), false)
}

// prepareRefusals lays out what is refused: damaged and foreign files, and peers that are no good.
func prepareRefusals(t *testing.T, b *bed) {
	t.Helper()
	m := b.machines[0]
	archive, err := os.ReadFile(filepath.Join(m.dir, onlySnapshot(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	damaged := []byte(string(archive))
	damaged[len(damaged)/4] ^= 1
	m.write(t, "/var/tmp/damaged.db.zst", string(damaged))
	m.write(t, "/var/tmp/mixed/"+onlySnapshot(t, m), string(archive))
	database, err := os.ReadFile(m.has("/var/lib/etcd/member/snap/db"))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "/var/tmp/copy.db", string(database))
	m.write(t, "/var/tmp/three/empty/nothing", "")
	if err := os.CopyFS(m.has("/var/tmp/stopped/member/wal"), os.DirFS(m.has("/var/lib/etcd/member/wal"))); err != nil {
		t.Fatal(err)
	}

	others := three(t, b.p)
	others.backup(t, "", nil)
	from := others.machines[0]
	archive, err = os.ReadFile(filepath.Join(from.dir, onlySnapshot(t, from)))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "/var/tmp/three/rolling.db.zst", string(archive))
	m.write(t, "/var/tmp/mixed/other_node-b_20261121T000000Z.db.zst", string(archive))
	ports, err := proctest.ReservePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	// etcd of another cluster has a certificate of another CA.
	b.outside = append(b.outside, "closed.port", ports[0], "strangers.peer", from.client)
	m.translate(t)
}
