package daemon_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const oldNode = "node-1"

// A takeover is of a directory that the version before the status file has written, with what that version itself reported after a restart
// (testdata/a41a2f8/README.md). The present version must report the same.
type takeover struct {
	*bed
	dir     *datedDir
	old     oldReport
	drilled time.Time // when the last drill began; zero: never
}

// datedDir is a directory whose files are as old as their names: in a checkout they are newer than all that the notes say of them.
type datedDir struct {
	*snapshot.Dir
	quarantines bool // or else it can't
}

func (d *datedDir) List() (snapshot.Listing, error) {
	l, err := d.Dir.List()
	for _, list := range [][]snapshot.Entry{l.Snapshots, l.Broken} {
		for i := range list {
			list[i].Modified = list[i].Name.Time
		}
	}
	return l, err
}

func (d *datedDir) Quarantine(ctx context.Context, n snapshot.Name) (bool, error) {
	if !d.quarantines {
		return false, errors.New("not yet")
	}
	return d.Dir.Quarantine(ctx, n)
}

// oldReport is what the old version reported: when, its metrics by name and labels, and the codes of its reasons.
type oldReport struct {
	at      time.Time
	flags   string
	metrics map[string]float64
	codes   []status.Code
}

func readReport(t *testing.T, path string) oldReport {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := oldReport{metrics: map[string]float64{}}
	text, ready, _ := strings.Cut(string(data), "# /readyz\n")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# restarted at "); ok {
			stamp, flags, _ := strings.Cut(rest, " with ")
			r.at, r.flags = at(t, stamp), flags
			continue
		}
		if key, value, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			r.metrics[strings.TrimPrefix(key, "etcd_rolling_backup_")] = v
		}
	}
	for line := range strings.Lines(ready) {
		for code, part := range map[status.Code]string{
			status.CodeSnapshotsFailing: "snapshots failed in a row", status.CodeShrank: "less than half of", status.CodeNoSnapshot: "there is no snapshot",
			status.CodeDamaged: "damage was found", status.CodeDrillFailed: "restore drill of", status.CodeS3Unlisted: "S3 could not be listed",
		} {
			if strings.Contains(line, part) {
				r.codes = append(r.codes, code)
			}
		}
	}
	return r
}

// reported are the metrics of a State that stand for what is known of the time before a restart, as the old version reported them.
func reported(s status.State, now time.Time) map[string]float64 {
	seconds := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.UnixMilli()) / 1000
	}
	m := map[string]float64{
		"recent_starts": float64(s.StartsSince(now.Add(-status.StartsWindow))), "damaged_snapshots": float64(len(s.Damages())),
		`snapshots{place="local"}`: float64(len(s.Places[status.Local].Copies)),
	}
	for _, c := range s.Places[status.Local].Copies {
		m[`snapshots_bytes{place="local"}`] += float64(c.Size)
	}
	for _, k := range status.Jobs() {
		if !s.Enabled[k] {
			continue
		}
		j, label := s.Jobs[k], `{kind="`+string(k)+`"}`
		m["failures_in_a_row"+label] = float64(j.Failures)
		m["last_success_timestamp_seconds"+label] = seconds(j.Success)
		if k != status.Drill { // of which the old version reported the end
			m["last_attempt_timestamp_seconds"+label] = seconds(j.Attempt)
		}
		if slices.Contains(status.ScheduledJobs(), k) {
			m["next_run_timestamp_seconds"+label], m["due_timestamp_seconds"+label] = seconds(j.Next), seconds(j.Due)
			m["schedule_interval_seconds"+label] = j.Interval.Seconds()
		}
	}
	if j := s.Jobs[status.Drill]; s.Enabled[status.Drill] && j.Failures == 0 && !j.Success.IsZero() {
		m["drill_passed"] = 1
	}
	if c, ok := s.Newest(now); ok {
		m["newest_archive_bytes"], m["newest_raw_bytes"], m["newest_revision"] = float64(c.Size), float64(c.RawSize), float64(c.Revision)
	}
	if c, ok := s.Compare(retention.GuardWindow, now); ok {
		m["compared_raw_bytes"], m["compared_revision"] = float64(c.RawSize), float64(c.Revision)
	}
	return m
}

// newTakeover copies the directory of a case and sets the clock to the moment at which the old version was started on it again.
func newTakeover(t *testing.T, from string) *takeover {
	t.Helper()
	to := &takeover{bed: newBed(t, "@every 24h"), dir: &datedDir{Dir: snapshot.NewDir(t.TempDir())}, old: readReport(t, filepath.Join(from, "metrics.txt"))}
	if err := os.CopyFS(to.dir.Path(), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to.dir.Path(), "metrics.txt")); err != nil {
		t.Fatal(err)
	}
	var drill struct {
		At, Began time.Time
		Took      time.Duration
	}
	if err := to.dir.ReadNote(snapshot.DrillNote(oldNode), &drill); err != nil {
		t.Fatal(err)
	}
	if to.drilled = drill.Began; drill.Began.IsZero() && !drill.At.IsZero() {
		to.drilled = drill.At.Add(-drill.Took)
	}
	time.Sleep(time.Until(to.old.at))
	to.always.err = errDown
	if !strings.Contains(to.old.flags, "--drill-schedule off") {
		newDrills(to.bed, "@every 168h")
		to.opts.Drill.Do = func(context.Context, status.Place) (daemon.DrillReport, error) {
			return daemon.DrillReport{}, snapshot.ErrNotFound
		}
		if strings.Contains(to.old.flags, "--drill-from s3") {
			to.opts.Drill.From = status.S3
		}
	}
	if strings.Contains(to.old.flags, "--s3-bucket") {
		to.opts.Mirror = func(context.Context) (mirror.Result, error) { return mirror.Result{}, errBucketDown }
	}
	return to
}

// open gives what the last process has saved.
func (to *takeover) open() *status.Tracker {
	to.t.Helper()
	o := status.Options{Mirror: to.opts.Mirror != nil, Drill: to.opts.Drill != nil}
	if o.Drill {
		o.DrillFrom = to.opts.Drill.From
	}
	tracker, err := status.Open(to.dir, oldNode, o)
	if err != nil {
		to.t.Error(err)
	}
	return tracker
}

// runFor is one life of a daemon on the directory.
func (to *takeover) runFor(d time.Duration) {
	to.t.Helper()
	tracker := to.open()
	o := to.opts
	o.Node, o.Store, o.Status = oldNode, to.dir, tracker
	o.SaveStatus = func() error { return tracker.Save(to.dir, oldNode) }
	ctx, cancel := context.WithTimeout(to.t.Context(), d)
	defer cancel()
	if err := daemon.New(o).Run(ctx); err != nil {
		to.t.Fatal(err)
	}
	to.status = tracker
}

// wantReported compares what the status knows with the old version's report.
func (to *takeover) wantReported() {
	to.t.Helper()
	got := reported(to.status.State(), time.Now())
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if want := to.old.metrics[key]; math.Abs(got[key]-want) > .01 { // it was not instantly there
			to.t.Errorf("%s is %.3f, the old version reported %.3f", key, got[key], want)
		}
	}
	if got, want := to.job(status.Drill).Attempt, to.drilled; !got.Equal(want) {
		to.t.Errorf("the last drill began at %s, want %s", got, want)
	}
	// The old version reported the consequences of a fault as well.
	want := slices.DeleteFunc(slices.Clone(to.old.codes), func(c status.Code) bool {
		cause := map[status.Code]status.Code{status.CodeDrillFailed: status.CodeDamaged, status.CodeNoSnapshot: status.CodeSnapshotsFailing}[c]
		return slices.Contains(to.old.codes, cause)
	})
	if got := to.codes(); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		to.t.Errorf("problems %+v, the old version reported %q", to.status.Problems(), to.old.codes)
	}
}

func ls(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
