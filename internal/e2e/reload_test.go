package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// configured is a daemon with a configuration file.
type configured struct {
	*watched
	dir, file string
	reloads   int // that were logged
}

func configure(t *testing.T, text string, more ...string) *configured {
	t.Helper()
	c := &configured{dir: newStore(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	c.write(t, text)
	member := small(t, etcdtest.Options{}).Members[0]
	c.watched = answering(t, startChecked(t, words("daemon", store(c.dir), []string{"--config=" + c.file, "--endpoints=" + member.Endpoint, "--status-page=network"}, more)...))
	c.says(t, "snapshot saved")
	return c
}

func (c *configured) write(t *testing.T, text string) {
	t.Helper()
	must(t, os.WriteFile(c.file, []byte(text), 0o600))
}

// reload writes the file, lets the daemon read it, and returns the log line of the result.
func (c *configured) reload(t *testing.T, text string) string {
	t.Helper()
	c.write(t, text)
	return c.hangUp(t)
}

func (c *configured) hangUp(t *testing.T) string {
	t.Helper()
	c.signal(t, syscall.SIGHUP)
	var lines []string
	eventually(t, "the daemon had read its settings again", func() bool {
		lines = nil
		for line := range strings.Lines(c.stderr.String()) {
			if strings.Contains(line, `msg="settings reloaded"`) || strings.Contains(line, `msg="reload failed`) {
				lines = append(lines, line)
			}
		}
		return len(lines) > c.reloads
	})
	c.reloads++
	return lines[len(lines)-1]
}

func (c *configured) snapshots(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "*.db.zst"))
	must(t, err)
	return len(found)
}

func wantIn(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %s", w, text)
		}
	}
}

// A new schedule, policy and log level are in effect without a restart, and what needs one is named.
func TestReloadChangesScheduleAndPolicyWithoutRestart(t *testing.T) {
	parallel(t)
	c := configure(t, "schedule: '@yearly'\nkeep-last: 9\n")
	line := c.reload(t, "schedule: '@every 1s'\nkeep-last: 2\nlog-level: debug\nheartbeat-url: http://127.0.0.1:1/hunter2\n")
	wantIn(t, line, `changed="schedule, keep-last, log-level"`, "needs_restart=heartbeat-url", "level=warning")
	c.says(t, `msg="new schedule in effect"`)
	for range 4 { // more than the policy keeps
		before := strings.Count(c.stderr.String(), "snapshot saved")
		eventually(t, "a snapshot was taken by the new schedule", func() bool { return strings.Count(c.stderr.String(), "snapshot saved") > before })
	}
	c.says(t, "pruned=1")
	c.reload(t, "schedule: '@yearly'\nkeep-last: 2\nlog-level: error\n")
	eventually(t, "the cycles had ended and the policy was applied", func() bool { return c.snapshots(t) == 2 })
	if v, there := c.value(t, "config_last_reload_successful"); !there || v != 1 {
		t.Errorf("the metric is %v, want 1", v)
	}
	c.stop(t, syscall.SIGTERM, 0)
}

// The drills, the members that take snapshots and the free space are settings of the daemon like the schedule.
func TestReloadChangesDrillsRoleAndFreeSpace(t *testing.T) {
	parallel(t)
	// Whatever the other tests have in flags and variables is in the file here.
	c := &configured{dir: newStore(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	fixed := fmt.Sprintf("schedule: '@every 1s'\ndir: %s\nnode: %s\nendpoints: %s\nstatus-page: network\n", c.dir, node, small(t, etcdtest.Options{}).Members[0].Endpoint)
	c.write(t, fixed+"drill-schedule: 'off'\nmin-free: 0\n")
	c.watched = answering(t, startWith(t, "ETCD_BACKUP_DRILL_SCHEDULE=", "daemon", "--config="+c.file))
	c.says(t, "snapshot saved")
	if text := c.stderr.String(); strings.Contains(text, "restore drill") {
		t.Errorf("a drill before the reload:\n%s", text)
	}
	line := c.reload(t, fixed+"drill-schedule: '@every 1d'\nmin-free: 0\n")
	wantIn(t, line, "changed=drill-schedule")
	c.says(t, `msg="new drill settings in effect"`)
	c.says(t, `msg="restore drill passed"`)
	eventually(t, "the drill was counted", func() bool {
		v, there := c.value(t, `last_success_timestamp_seconds{kind="drill"}`)
		return there && v > 0
	})
	wantIn(t, c.reload(t, fixed+"drill-schedule: 'off'\nmin-free: 1EB\n"), `changed="min-free, drill-schedule"`)
	c.says(t, `msg="restore drills are switched off"`)
	c.says(t, "--min-free keeps")
	wantIn(t, c.reload(t, fixed+"drill-schedule: 'off'\nmin-free: 0\nonly-on: follower\n"), "only-on")
	before := strings.Count(c.stderr.String(), "snapshot saved") // the only member takes it whatever the role is
	eventually(t, "a snapshot was taken", func() bool { return strings.Count(c.stderr.String(), "snapshot saved") > before })
	wantIn(t, c.reload(t, fixed+"drill-schedule: 'off'\nmin-free: 0\ndrill-from: s3\n"), "--drill-from s3 needs --s3-bucket")
	c.stop(t, syscall.SIGTERM, 0)
}

// Bad files change nothing, are reported everywhere, and the next good one ends that.
func TestReloadOfABadFileKeepsTheOldSettings(t *testing.T) {
	parallel(t)
	const good = "schedule: '@every 1s'\nkeep-last: 3\n"
	c := configure(t, good)
	for text, want := range map[string]string{
		"schedule: '@yearly'\nkeep-lats: 1\n":                   "line 2: unknown key",
		"schedule: '@yearly'\nkeep-last: -7\n":                  "line 2: --keep-last",
		"schedule: '@yearly'\nkeep-last: 1\nschedule: '@daily'": "line 3:",
		"schedule: hourly\n":                                    "line 1: --schedule",
		"schedule: [\n":                                         "read --config",
		"schedule: '@yearly'\npassword-file: /none\nuser: a\n":  "--password-file",
	} {
		line := c.reload(t, text)
		wantIn(t, line, "level=error", `msg="reload failed; the old settings stay"`, c.file, want)
		if v, there := c.value(t, "config_last_reload_successful"); !there || v != 0 {
			t.Errorf("the metric is %v, want 0", v)
		}
		status, body := c.get(t, "/readyz")
		if status != 503 {
			t.Errorf("/readyz answers %d", status)
		}
		wantIn(t, body, "the last reload failed, and the old settings stay: ", want)
		before := strings.Count(c.stderr.String(), "snapshot saved")
		eventually(t, "a snapshot was taken by the old schedule", func() bool { return strings.Count(c.stderr.String(), "snapshot saved") > before })
	}
	must(t, os.Remove(c.file))
	wantIn(t, c.hangUp(t), "level=error", "no such file")
	c.reload(t, good)
	if v, there := c.value(t, "config_last_reload_successful"); !there || v != 1 {
		t.Errorf("the metric is %v, want 1", v)
	}
	if _, body := c.get(t, "/readyz"); strings.Contains(body, "reload") {
		t.Errorf("/readyz still says %s", body)
	}
	c.stop(t, syscall.SIGTERM, 0)
}

// Variables and flags of the start go on to take precedence, and the daemon says which keys they hide.
func TestReloadLeavesFlagsAsTheyWere(t *testing.T) {
	parallel(t)
	c := configure(t, "keep-last: 9\n", "--keep-last=2", "--schedule=@yearly")
	c.says(t, "key of the configuration file has no effect")
	line := c.reload(t, "keep-last: 8\nkeep-daily: 3\n")
	wantIn(t, line, "changed=keep-daily")
	c.stop(t, syscall.SIGTERM, 0)
}

// A reload that is asked for during a cycle ends no snapshot, and one during the start stops no daemon.
func TestReloadWaitsForTheCycleAndTheStart(t *testing.T) {
	parallel(t)
	member, dir, file := solid(t).Members[0], newStore(t), filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("schedule: '@yearly'\n"), 0o600))
	v := newValve(t, member.Endpoint, middle)
	p := startChecked(t, words("daemon", store(dir), []string{"--endpoints=" + v.Endpoint(), "--config=" + file}, unhurried)...)
	v.holds(t)
	must(t, os.WriteFile(file, []byte("schedule: '@every 1d'\n"), 0o600))
	p.signal(t, syscall.SIGHUP)
	p.says(t, `msg="settings reloaded"`)
	if strings.Contains(p.stderr.String(), "new schedule in effect") {
		t.Errorf("the schedule changed within a cycle:\n%s", p.stderr.String())
	}
	v.open()
	p.says(t, "snapshot saved")
	p.says(t, `msg="new schedule in effect"`)
	p.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 1)

	dir = newStore(t)
	p = startChecked(t, words("daemon", store(dir), []string{"--endpoints=" + silentPort(t), "--config=" + file})...)
	eventually(t, "the daemon had made its directory", func() bool { _, err := os.Stat(dir); return err == nil })
	p.signal(t, syscall.SIGHUP)
	p.says(t, `msg="settings reloaded" changed=`)
	p.stop(t, syscall.SIGTERM, 0)
}

// The pace and the bucket's policy are those of the file as it is now.
func TestReloadChangesTheMirror(t *testing.T) {
	parallel(t)
	server := plainServer.get(t)
	b := newBucket(t, server.Target, s3test.BucketOptions{})
	settings := func(rest string) string { return "schedule: '@every 1s'\nkeep-last: 9\n" + rest }
	c := configure(t, settings("s3-keep-last: 5\n"), append(b.flags(server.Target), "--log-level=debug")...)
	c.says(t, "msg=mirrored")
	line := c.reload(t, settings("s3-keep-last: 1\ns3-upload-rate: 100MiB\n"))
	wantIn(t, line, `changed="s3-upload-rate, s3-keep-last"`)
	eventually(t, "the bucket's new policy was applied", func() bool {
		v, there := c.value(t, fmt.Sprintf("snapshots{place=%q}", "s3"))
		return there && v == 1 && c.snapshots(t) > 2
	})
	c.stop(t, syscall.SIGTERM, 0)
}

// Whoever reads only warnings sees which settings need a restart, and a level that shows more shows its own reload.
func TestReloadIsLoggedAtTheLevelsBeforeAndAfter(t *testing.T) {
	parallel(t)
	file, settings := filepath.Join(t.TempDir(), "config.yaml"), "schedule: '@yearly'\nlog-level: "
	must(t, os.WriteFile(file, []byte(settings+"warn\n"), 0o600))
	dir := newStore(t)
	p := startChecked(t, words("daemon", store(dir), []string{"--endpoints=" + solid(t).Members[0].Endpoint, "--config=" + file})...)
	eventually(t, "the first snapshot", func() bool { found, _ := filepath.Glob(filepath.Join(dir, "rolling_*.zst")); return len(found) == 1 })
	reload := func(text, want string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(text), 0o600))
		p.signal(t, syscall.SIGHUP)
		p.says(t, want)
	}
	reload(settings+"warn\nlog-format: json\n", `level=warning msg="settings reloaded" changed= needs_restart=log-format`)
	reload(settings+"info\n", `level=info msg="settings reloaded" changed=log-level`)
	p.stop(t, syscall.SIGTERM, 0)
}

// How far back the journal goes, and how far behind it may be, are read again; how it is written is not.
func TestReloadChangesHowMuchOfTheJournalIsKept(t *testing.T) {
	parallel(t)
	fixed := "schedule: '@yearly'\njournal: true\n"
	c := configure(t, fixed+"journal-segment: 1s\n")
	line := c.reload(t, fixed+"journal-segment: 2s\njournal-keep: 1s\njournal-max-behind: 99\n")
	wantIn(t, line, `changed="journal-keep, journal-max-behind"`, "needs_restart=journal-segment", "level=warning")
	c.stop(t, syscall.SIGTERM, 0)
}
