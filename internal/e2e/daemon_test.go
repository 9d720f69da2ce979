package e2e_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// A daemon that was down when a run was due makes up for it at its start; one that was not, waits.
func TestDaemonCatchesUpAMissedRun(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	args := words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h"})

	p := start(t, args...)
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 1)

	p = start(t, args...)
	p.says(t, "msg=started ")
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 1)

	first := listed(t, dir)[0].Name
	redate(t, dir, first, time.Now().Add(-61*time.Minute))
	p = start(t, args...)
	p.says(t, "a run was missed")
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 2)
}

// Snapshots come on schedule, the old ones go, and what others put into the directory stays.
func TestDaemonKeepsAndPrunesOnSchedule(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	run(t, 0, nil, words("save", store(dir), flags(c, c.Members[0].Endpoint), []string{"--label=before-upgrade"})...)
	must(t, os.WriteFile(dir+"/notes.txt", []byte("mine"), 0o600))
	must(t, os.Link(only(t, dir), dir+"/rolling_node-b_20200101T000000Z.db.zst"))

	p := start(t, words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s", "--keep-last=2"})...)
	eventually(t, "the daemon had kept five snapshots", func() bool {
		return strings.Count(p.stderr.String(), "snapshot saved") >= 5
	})
	p.rests(t, c.Members[0])
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 4) // two of this node, one of another and the one taken by hand
	for _, e := range listed(t, dir)[2:] {
		if e.Name.Rolling(node) {
			t.Errorf("kept %s", files(t, dir))
		}
	}
	if _, err := os.Stat(dir + "/notes.txt"); err != nil {
		t.Error(err)
	}
}

// A daemon that starts before its etcd waits for it, and one whose etcd goes away waits for it to come back.
func TestDaemonWaitsForEtcd(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	must(t, c.Members[0].Kill())
	dir := newStore(t)
	p := start(t, words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})...)
	p.says(t, "etcd does not answer yet")
	p.says(t, "snapshot failed")
	if n := len(listed(t, dir)); n != 0 {
		t.Errorf("%d snapshots of an etcd that is down", n)
	}
	must(t, c.Restart(t.Context()))
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, len(listed(t, dir)))
}

// Certificates and the password are read anew for each run.
func TestRotatedCertificatesAreUsedWithoutRestart(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{TLS: true})
	now := time.Now()
	rotate := func(until time.Time) etcdtest.KeyPair {
		t.Helper()
		pair, err := c.PKI.IssueClient("rotated", now.Add(-30*time.Minute), until)
		must(t, err)
		return pair
	}
	files := rotate(now.Add(-time.Minute))
	dir := newStore(t)
	p := follow(t, dir, pair("--endpoints="+c.Members[0].Endpoint, c, files))
	p.next(t, "expired", "snapshot failed")
	rotate(now.Add(time.Hour))
	p.next(t, "snapshot saved")
	rotate(now.Add(-time.Minute))
	p.next(t, "expired", "snapshot failed")
	rotate(now.Add(time.Hour))
	p.next(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, len(listed(t, dir)))
}

func TestChangedPasswordIsUsedWithoutRestart(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	must(t, c.EnableAuth(t.Context(), "open sesame"))
	client := etcdtest.Dial(t, c)
	login := login(t, c, "open sesame")
	p := follow(t, newStore(t), login)
	p.next(t, "snapshot saved")
	_, err := client.UserChangePassword(t.Context(), "root", "open barley")
	must(t, err)
	p.next(t, "authentication failed", "snapshot failed")
	file := strings.TrimPrefix(login[len(login)-1], "--password-file=")
	must(t, os.WriteFile(file, []byte("open barley\n"), 0o600))
	p.next(t, "snapshot saved")
	p.stop(t, syscall.SIGTERM, 0)
}

// Of three members with one daemon each, the leader's alone takes snapshots, or the followers' do.
func TestOnlyMembersOfTheRoleTakeSnapshots(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{Members: 3})
	for role, want := range map[string]int{"leader": 1, "follower": 2, "any": 3} {
		took := 0
		// A machine busy enough makes a cluster elect another leader between the daemons' questions: such a round says nothing.
		for range 5 {
			before := term(t, c)
			took = takenOn(t, c, role)
			if term(t, c) == before {
				break
			}
		}
		if took != want {
			t.Errorf("--only-on %s: %d of 3 members took a snapshot, want %d", role, took, want)
		}
	}
}

// takenOn lets a daemon on each member decide and returns how many took a snapshot.
func takenOn(t *testing.T, c *etcdtest.Cluster, role string) int {
	t.Helper()
	daemons := map[string]*process{}
	for _, m := range c.Members {
		dir := newStore(t)
		daemons[dir] = start(t, words("daemon", store(dir), flags(c, m.Endpoint), []string{"--only-on=" + role, "--schedule=@every 1h"})...)
	}
	took := 0
	for dir, p := range daemons {
		eventually(t, "the daemon had decided", func() bool {
			return strings.Contains(p.stderr.String(), "snapshot saved") || strings.Contains(p.stderr.String(), "skipped: the member is")
		})
		p.stop(t, syscall.SIGTERM, 0)
		took += len(listed(t, dir))
	}
	return took
}

// term changes with each election.
func term(t *testing.T, c *etcdtest.Cluster) uint64 {
	t.Helper()
	s, err := etcdtest.Dial(t, c).Status(t.Context(), c.Members[0].ClientURL)
	must(t, err)
	return s.RaftTerm
}

// Endpoints of different clusters are a mistake in the configuration, whatever the command.
func TestEndpointsOfTwoClustersAreRefused(t *testing.T) {
	parallel(t)
	a, b := small(t, etcdtest.Options{}), small(t, etcdtest.Options{})
	both := "--endpoints=" + a.Members[0].Endpoint + "," + b.Members[0].Endpoint
	for _, command := range []string{"save", "daemon", "check"} {
		dir := newStore(t)
		var p *process
		eventually(t, "it had both answers in the time that a start waits for them", func() bool {
			p = start(t, words(command, store(dir), []string{both})...)
			eventually(t, "it judged them", func() bool {
				select {
				case <-p.done:
					return true
				default:
					return strings.Contains(p.stderr.String(), "does not answer yet")
				}
			})
			late := strings.Contains(p.stderr.String(), "does not answer yet")
			if late {
				p.kill()
			}
			return !late
		})
		p.demand(t, 2, "different clusters", a.Members[0].Endpoint, b.Members[0].Endpoint)
		wantNothing(t, dir)
		t.Log(p.stdout.String(), p.stderr.String())
	}
}

// The alarm of a full etcd and a cluster without quorum are told, and never stop a backup.
func TestSnapshotsGoOnWithoutQuorumAndSpace(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{Members: 3, QuotaBytes: 6 << 20})
	_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: 1 << 30, Seed: 2})
	if err == nil {
		t.Fatal("1 GiB fits into a quota of 6 MiB")
	}
	etcdtest.Settle(t, c)
	dir := newStore(t)
	p := start(t, words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s", "--only-on=leader"})...)
	must(t, c.Members[1].Kill())
	must(t, c.Members[2].Kill())
	p.says(t, "member knows no leader")
	p.says(t, "NOSPACE")
	p.stop(t, syscall.SIGTERM, 0)
	m, err := snapshot.NewDir(dir).Manifest(listed(t, dir)[0].Name)
	must(t, err)
	if m.Healthy || len(m.Members) != 3 || len(m.Alarms) == 0 {
		t.Errorf("the manifest says healthy %t, alarms %s, %d members", m.Healthy, m.Alarms, len(m.Members))
	}
	wantWhole(t, dir, len(listed(t, dir)))

	saved := run(t, 0, []string{`"healthy": false`}, words("save", store(newStore(t)), flags(c, c.Members[0].Endpoint), []string{"--output=json"})...)
	if lines := strings.Split(strings.TrimSpace(saved.stderr.String()), "\n"); len(lines) != 2 ||
		!strings.HasPrefix(lines[0], "warning: the member knows no leader: ") || !strings.HasPrefix(lines[1], "warning: etcd has the alarm NOSPACE: ") {
		t.Errorf("save printed %q", lines)
	}
}
