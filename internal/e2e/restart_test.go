package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// A daemon that is killed again and again knows each time when the last snapshot was: it looks neither freshly broken nor, with
// one that is too old and an etcd that is away, healthy. Without its status it goes by the snapshot's name.
func TestLastSuccessSurvivesARestart(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	again := func() *watched {
		return watch(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h"})
	}
	w := again()
	w.says(t, "snapshot saved")
	w.kill()
	for _, age := range []time.Duration{20 * time.Minute, 50 * time.Minute} {
		taken := time.Now().Add(-age).Truncate(time.Second)
		j := backdate(t, dir, taken).Jobs[status.Snapshot]
		m, err := snapshot.NewDir(dir).Manifest(listed(t, dir)[0].Name)
		must(t, err)
		for range 2 { // five starts within an hour are let pass
			w = again()
			for series, want := range map[string]float64{
				`last_success_timestamp_seconds{kind="snapshot"}`: at(j.Success), `last_attempt_timestamp_seconds{kind="snapshot"}`: at(j.Attempt),
				`runs_total{kind="snapshot",reason="none",result="success"}`: 0, `next_run_timestamp_seconds{kind="snapshot"}`: at(taken.Add(time.Hour)),
				`due_timestamp_seconds{kind="snapshot"}`: at(taken.Add(time.Hour)),
				`snapshots{place="local"}`:               1, "newest_raw_bytes": float64(m.RawSize), "newest_revision": float64(m.Revision),
			} {
				if got, there := w.value(t, series); !there || got != want {
					t.Errorf("%s is %v, want %v", series, got, want)
				}
			}
			if code, body := w.get(t, "/readyz"); code != http.StatusOK {
				t.Errorf("a snapshot %s old: %d: %s", age, code, body)
			}
			w.kill()
		}
	}
	must(t, c.Members[0].Kill())
	backdate(t, dir, time.Now().Add(-3*time.Hour))
	taken := listed(t, dir)[0].Name.Time
	for starts := 6; starts < 9; starts++ {
		w = again()
		w.ready(t, http.StatusServiceUnavailable, "the snapshot due at ")
		w.ready(t, http.StatusServiceUnavailable, fmt.Sprintf("the daemon was started %d times within an hour", starts))
		w.has(t, "recent_starts", float64(starts))
		w.has(t, `due_timestamp_seconds{kind="snapshot"}`, at(taken.Add(time.Hour)))
		w.kill()
	}
	must(t, os.Remove(statusFile(dir)))
	w = again()
	w.ready(t, http.StatusServiceUnavailable, "the snapshot due at ")
	w.has(t, "recent_starts", 1)
	w.has(t, `last_success_timestamp_seconds{kind="snapshot"}`, at(taken))
	w.has(t, `due_timestamp_seconds{kind="snapshot"}`, at(taken.Add(time.Hour)))
	w.stop(t, syscall.SIGTERM, 0)
}

// backdate moves the newest snapshot to another time, and what the status says of runs by as much.
func backdate(t *testing.T, dir string, to time.Time) status.State {
	t.Helper()
	n := listed(t, dir)[0].Name
	redate(t, dir, n, to)
	s := readStatus(t, dir)
	for j, x := range s.Jobs {
		for _, when := range []*time.Time{&x.Attempt, &x.Success, &x.Settled, &x.Failed, &x.Next, &x.Due} {
			if !when.IsZero() {
				*when = when.Add(to.Sub(n.Time))
			}
		}
		s.Jobs[j] = x
	}
	text, err := json.Marshal(s)
	must(t, err)
	must(t, os.WriteFile(statusFile(dir), text, 0o600))
	return s
}

// Damage that a drill has found is known to the next process, with drills or without, and even if the status is lost: until an intact file
// has the name again, or the damaged one is removed.
func TestDamageIsKnownAfterARestart(t *testing.T) {
	parallel(t)
	c, dir := small(t, etcdtest.Options{}), newStore(t)
	args := [][]string{flags(c, c.Members[0].Endpoint), {"--schedule=@every 1h"}}
	w := watch(t, dir, append(args, []string{"--drill-schedule=@every 1s"})...)
	w.says(t, "restore drill passed")
	archive := only(t, dir)
	good, err := os.ReadFile(archive)
	must(t, err)
	alter(t, archive)
	w.says(t, "renamed a damaged snapshot to NAME.broken")
	w.says(t, "taking a snapshot now: the newest one is damaged or failed its restore drill")
	w.has(t, `snapshots{place="local"}`, 1)
	found := "damage was found in " + filepath.Base(archive) + " on the disk"
	w.ready(t, http.StatusServiceUnavailable, found)
	w.kill()
	w = watch(t, dir, args...)
	w.ready(t, http.StatusServiceUnavailable, found)
	w.kill()
	must(t, os.Remove(statusFile(dir)))
	w = watch(t, dir, args...)
	w.ready(t, http.StatusServiceUnavailable, found)
	must(t, os.WriteFile(archive+".new", good, 0o600)) // half of a file would be damage
	must(t, os.Rename(archive+".new", archive))
	w.ready(t, http.StatusOK, "")
	must(t, os.Remove(archive))
	w.ready(t, http.StatusServiceUnavailable, found)
	must(t, os.Remove(archive+snapshot.BrokenSuffix))
	w.ready(t, http.StatusOK, "")
	w.stop(t, syscall.SIGTERM, 0)
}

// An archive that has lost its end is reported as soon as it is listed, without any drill, also when it is not the newest.
func TestTruncatedArchiveIsReportedWhenListed(t *testing.T) {
	parallel(t)
	c, dir := small(t, etcdtest.Options{}), newStore(t)
	args := [][]string{flags(c, c.Members[0].Endpoint), {"--schedule=@every 1h"}}
	w := watch(t, dir, args...)
	w.says(t, "snapshot saved")
	w.stop(t, syscall.SIGTERM, 0)
	redate(t, dir, listed(t, dir)[0].Name, time.Now().Add(-2*time.Hour))
	old := only(t, dir)
	must(t, os.Truncate(old, listed(t, dir)[0].Size/2))
	w = watch(t, dir, args...)
	w.says(t, "snapshot saved")
	w.ready(t, http.StatusServiceUnavailable, "damage was found in "+filepath.Base(old)+" on the disk")
	w.says(t, "renamed a damaged snapshot to NAME.broken")
	must(t, os.Remove(old+snapshot.BrokenSuffix))
	w.ready(t, http.StatusOK, "")
	w.stop(t, syscall.SIGTERM, 0)
}

// A directory that is gone is no longer well at the next look, and well again once it is back.
func TestMissingDirectoryIsUnhealthy(t *testing.T) {
	parallel(t)
	c, dir := small(t, etcdtest.Options{}), newStore(t)
	w := watch(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h"})
	w.says(t, "snapshot saved")
	w.ready(t, http.StatusOK, "")
	must(t, os.Rename(dir, dir+".gone"))
	w.ready(t, http.StatusServiceUnavailable, "the snapshots on the disk can't be read")
	if n, there := w.value(t, `snapshots{place="local"}`); there {
		t.Errorf("snapshots is %v and nobody knows", n)
	}
	must(t, os.Rename(dir+".gone", dir))
	w.ready(t, http.StatusOK, "")
	w.has(t, `snapshots{place="local"}`, 1)
	w.stop(t, syscall.SIGTERM, 0)
}

// Runs that end with the daemon are failures, which three times in a row are news, and a snapshot ends them. A stop is none.
func TestCrashedRunsCountAsFailures(t *testing.T) {
	parallel(t)
	c, dir := solid(t), newStore(t)
	again := func() (*watched, *valve) {
		v := newValve(t, c.Members[0].Endpoint, middle)
		return watch(t, dir, flags(c, v.Endpoint()), unhurried, []string{"--schedule=@every 1h"}), v
	}
	const failed = `failures_in_a_row{kind="snapshot"}`
	for n := range 3 {
		w, v := again()
		w.has(t, failed, float64(n))
		v.holds(t)
		w.kill()
	}
	w, _ := again()
	w.has(t, failed, 3)
	w.has(t, `runs_total{kind="snapshot",reason="cut_off",result="failure"}`, 1) // its own; the others were told by the processes before
	w.ready(t, http.StatusServiceUnavailable, "3 snapshots failed in a row, the last at ")
	w.ready(t, http.StatusServiceUnavailable, "the daemon crashed or was killed during the run")
	w.stop(t, syscall.SIGTERM, 0)
	w, v := again()
	w.has(t, failed, 3)
	v.open()
	w.says(t, "snapshot saved")
	w.has(t, failed, 0)
	w.ready(t, http.StatusOK, "")
	w.stop(t, syscall.SIGTERM, 0)
}

// S3's past comes from its listing: what arrived last arrived before the start, and what waits has waited since it was taken.
// While S3 can't be listed nobody says that all is well, and snapshots are taken at once.
func TestPastOfS3IsReadFromItsListing(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, plainServer.get(t))
	b, proxy := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
	archive, dir := bed.save(t), newStore(t)
	now := time.Now().Truncate(time.Second)
	arrived, err := snapshot.NewName(snapshot.RollingSet, node, now.Add(-2*time.Hour))
	must(t, err)
	waits, err := snapshot.NewName(snapshot.RollingSet, node, now.Add(-10*time.Minute))
	must(t, err)
	b.plant(archive, arrived.String())
	plant(t, dir, archive, arrived.String(), waits.String())
	must(t, os.Chmod(dir, 0o700))

	proxy.Set(s3test.When(s3test.Method(http.MethodGet), nil)) // replaced below; reading works
	proxy.Set(s3test.When(func(r *http.Request) bool { return r.Method != http.MethodGet }, s3test.Refuse(http.StatusForbidden, "AccessDenied")))
	args := [][]string{flags(bed.etcd, bed.etcd.Endpoints()[0]), b.flags(proxy.Target), impatient, {"--schedule=@every 1h"}}
	for range 2 {
		w := watch(t, dir, args...)
		w.has(t, `last_success_timestamp_seconds{kind="mirror"}`, at(arrived.Time))
		w.has(t, "waiting_snapshots", 1)
		w.has(t, `snapshots{place="s3"}`, 1)
		eventually(t, "a pass failed", func() bool {
			n, _ := w.value(t, `runs_total{kind="mirror",reason="permission",result="failure"}`)
			return n >= 1
		})
		if age, _ := w.value(t, "waiting_oldest_age_seconds"); age < 600 || age > 900 {
			t.Errorf("the oldest has waited for %v s", age)
		}
		w.kill()
	}

	down := s3test.RunProxy(t, bed.server.Target)
	must(t, down.Blackhole())
	empty := newStore(t)
	w := watch(t, empty, args[0], b.flags(down.Target), args[3], []string{"--s3-timeout=1h"})
	w.says(t, "snapshot saved")
	w.ready(t, http.StatusServiceUnavailable, "S3 has not answered since the start")
	if _, there := w.value(t, "waiting_snapshots"); there {
		t.Error("it says what waits for an S3 that it has not seen")
	}
	w.stop(t, syscall.SIGTERM, 0)
}
