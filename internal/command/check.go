package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/detect"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

func checkCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "test everything the daemon needs and print a line for each; takes the daemon's flags",
		Flags:  append(daemonFlags(), config.OutputFlag()),
		Action: e.action(0, check),
	}
}

// finding is one line of check.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail"`
	err    error
}

const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

func okay(what, format string, args ...any) finding {
	return finding{Check: what, Status: statusOK, Detail: fmt.Sprintf(format, args...)}
}

func warn(what, format string, args ...any) finding {
	return finding{Check: what, Status: statusWarn, Detail: fmt.Sprintf(format, args...)}
}

func fail(what string, err error) finding {
	return finding{Check: what, Status: statusFail, Detail: line(err), err: err}
}

func check(ctx context.Context, c *call) error {
	cfg := c.cfg
	m, err := cfg.Etcd.Member()
	if err != nil {
		return err
	}
	now, dir := time.Now(), snapshot.NewDir(cfg.Store.Dir)
	first := cfg.Schedule.Next(now)
	schedule := okay("schedule", "%s: next runs %s and %s", cfg.Schedule, first.Format(time.RFC3339), cfg.Schedule.Next(first).Format(time.RFC3339))
	store := checkDirectory(ctx, dir, cfg.Store.MinFree)
	findings := slices.Concat([]finding{schedule, okay("retention", "%s", cfg.Policy)}, store, checkJournalRoom(dir, cfg))
	if store[0].err == nil {
		findings = append(findings, checkNewest(dir, cfg, now))
		findings = append(findings, checkLoss(dir, cfg, now)...)
	}
	etcd, cluster := c.checkMember(ctx, m, now)
	findings = append(findings, etcd...)
	if cfg.S3 != nil {
		findings = append(findings, checkBucket(ctx, cfg.S3)...)
	}
	findings = append(findings, checkOthers(ctx, cfg, cluster, now)...)
	findings = append(findings, checkMonitor(ctx, cfg.Monitor)...)
	for _, e := range service.Exposures(cfg, c.origins.Sources(c.Context)) {
		findings = append(findings, warn(e.Flag, "%s", e.Text))
	}
	return errors.Join(c.show(findings, func(out *printer) {
		var lines [][]string
		for _, f := range findings {
			lines = append(lines, []string{f.Status, f.Check, f.Detail})
		}
		out.table([]string{"STATUS", "CHECK", "DETAIL"}, lines)
	}), failures(findings))
}

// failures is nil when nothing failed. It keeps what failed in its chain, for the exit status.
func failures(findings []finding) error {
	var failed checkError
	for _, f := range findings {
		if f.err != nil {
			failed.names, failed.errs = append(failed.names, f.Check), append(failed.errs, f.err)
		}
	}
	if failed.errs == nil {
		return nil
	}
	return &failed
}

// checkError says which checks failed; the table says why.
type checkError struct {
	names []string
	errs  []error
}

func (e *checkError) Error() string   { return "check failed: " + strings.Join(e.names, ", ") }
func (e *checkError) Unwrap() []error { return e.errs }

// fewInodes is a number of free inodes that is worth a warning.
const fewInodes = 100

// checkDirectory tries what the daemon does in the directory.
func checkDirectory(ctx context.Context, dir *snapshot.Dir, minFree int64) []finding {
	can, err := dir.Probe(ctx)
	if err != nil {
		return []finding{fail("directory", err)}
	}
	found := okay("directory", "%s is writable", dir.Path())
	if info, err := os.Stat(dir.Path()); err != nil {
		found = fail("directory", err)
	} else if info.Mode().Perm()&0o077 != 0 {
		found = warn("directory", "%s is accessible to other users (mode %o), and snapshots hold every secret of the cluster: chmod 700 it, "+
			"or mount it with umask=077 if that has no effect", dir.Path(), info.Mode().Perm())
	}
	out := []finding{found}
	if !can.Sync {
		out = append(out, warn("sync", "the file system of %s can't sync to the disk: a power loss may damage the newest snapshot", dir.Path()))
	}
	if !can.Map {
		out = append(out, warn("mapping", "files in %s can't be mapped into memory, so verify and restore drills don't work there: use another disk, or --drill-schedule off", dir.Path()))
	}
	return append(out, checkSpace(dir, minFree)...)
}

func checkSpace(dir *snapshot.Dir, minFree int64) []finding {
	const what = "free space"
	free, err := dir.Space()
	var out finding
	switch {
	case err != nil:
		return []finding{fail(what, err)}
	case free.Bytes < minFree:
		out = fail(what, fmt.Errorf("%s, but --min-free is %s: free some space, keep fewer snapshots, or lower it", size(free.Bytes), size(minFree)))
	case free.Bytes == snapshot.Unlimited:
		out = okay(what, "the file system reports no limit, so --min-free has no effect")
	default:
		out = okay(what, "%s, of which --min-free keeps %s", size(free.Bytes), size(minFree))
	}
	if free.Inodes > 0 && free.Inodes < fewInodes { // 0 may mean unknown: a file was just created
		return []finding{out, warn("free inodes", "%d, as `df -i %s` shows: remove files there, or keep fewer snapshots", free.Inodes, dir.Path())}
	}
	return []finding{out}
}

func checkNewest(dir *snapshot.Dir, cfg config.Config, now time.Time) finding {
	const what, future = "newest snapshot", "%s is dated in the future: a clock is or was wrong"
	l, err := dir.List()
	if err != nil {
		return fail(what, err)
	}
	first := slices.IndexFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name.Rolling(cfg.Store.Node) })
	if first < 0 {
		return warn(what, "node %s has no rolling snapshot yet", cfg.Store.Node)
	}
	e, ok := l.Newest(cfg.Store.Node, now)
	old := age(now, e.Name.Time)
	switch ahead := l.Snapshots[first].Name; {
	case !ok:
		return warn(what, future, ahead)
	case ahead.Time.After(now):
		return warn(what, future+"; the newest before it is %s, %s old", ahead, e.Name, old)
	}
	if _, err := dir.Manifest(e.Name); err != nil && !errors.Is(err, snapshot.ErrNoManifest) {
		return fail(what, err)
	}
	if cfg.Schedule.Next(e.Name.Time).Before(now) {
		return warn(what, "%s is %s old: a run was missed", e.Name, old)
	}
	return okay(what, "%s, %s old", e.Name, old)
}

func checkCertificates(cfg member.Config, now time.Time) []finding {
	certs, err := cfg.Certificates()
	if err != nil {
		return []finding{fail("certificates", err)}
	}
	var out []finding
	for _, cert := range certs {
		left := cert.NotAfter.Sub(now)
		detail := fmt.Sprintf("%s expires %s", cert.File, cert.NotAfter.Format(time.RFC3339))
		switch {
		case left <= 0:
			out = append(out, fail(cert.Flag, fmt.Errorf("%s: it has expired: renew it", detail)))
		case left < 14*24*time.Hour:
			out = append(out, warn(cert.Flag, "%s, in %s", detail, age(cert.NotAfter, now)))
		default:
			out = append(out, okay(cert.Flag, "%s", detail))
		}
	}
	return out
}

// checkMember says first which etcd was detected, if nobody configured one. Without a clear answer, no etcd is asked.
func (c *call) checkMember(ctx context.Context, cfg member.Config, now time.Time) ([]finding, snapshot.ID) {
	var out []finding
	switch {
	case c.origins.DetectError != nil:
		return []finding{fail("etcd", c.origins.DetectError)}, 0
	case c.origins.Detected != nil:
		out = append(out, okay("detected", "%s", c.origins.Detected))
	}
	out = append(out, checkCertificates(cfg, now)...)
	etcd, cluster := c.checkEtcd(ctx, cfg)
	return append(out, etcd...), cluster
}

// checkEtcd also returns the ID of the cluster; 0: not known.
func (c *call) checkEtcd(ctx context.Context, cfg member.Config) ([]finding, snapshot.ID) {
	m, err := member.Connect(ctx, cfg)
	if err != nil && c.cfg.Etcd.Undetected {
		err = fmt.Errorf("%w; %w", err, detect.ErrNone)
	}
	if err != nil {
		return []finding{fail("etcd", err)}, 0
	}
	s := m.Source()
	role := "follower"
	if m.Leader() {
		role = "leader"
	}
	out := []finding{okay("etcd", "%s: etcd %s, member %s (%s) of cluster %s, revision %d, database %s",
		m.Endpoint(), s.EtcdVersion, s.MemberID, role, s.ClusterID, s.Revision, size(m.DBSize()))}
	if err := m.Silent(); err != nil {
		out = append(out, warn("endpoints", "%s; the daemon would take the snapshot from %s", line(err), m.Endpoint()))
	}
	if err := tryStream(ctx, m); err != nil {
		out = append(out, fail("stream", err))
	} else {
		out = append(out, okay("stream", "snapshot stream opened"))
	}
	out = append(out, checkJournal(ctx, m, c.cfg)...)
	if !s.Healthy {
		out = append(out, warn("leader", "the member knows no leader: snapshots work, but the cluster does not"))
	}
	for _, a := range s.Alarms {
		out = append(out, warn("alarm", "etcd has raised %s", a))
	}
	if err := m.Close(); err != nil {
		out = append(out, fail("etcd", err))
	}
	return out, s.ClusterID
}

// tryStream opens a snapshot stream and stops it again: there is no other way to know whether a user may.
func tryStream(ctx context.Context, m *member.Member) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	enough := errors.New("enough")
	r, w := io.Pipe()
	_ = r.CloseWithError(enough) // what writing the first bytes gives
	if err := m.Stream(ctx, w, func(int64) {}); !errors.Is(err, enough) {
		return fmt.Errorf("open the snapshot stream: %w", err)
	}
	return nil
}

// checkBucket tries every permission with a tiny object.
func checkBucket(ctx context.Context, cfg *s3.Config) []finding {
	b, err := source.OpenBucket(cfg)
	if err != nil {
		return []finding{fail("bucket", err)}
	}
	defer b.Close()
	var out []finding
	for _, p := range b.Probe(ctx) {
		switch {
		case p.Err == nil && p.Detail != "":
			out = append(out, okay(p.Action, "%s: %s", p.Purpose, p.Detail))
		case p.Err == nil:
			out = append(out, okay(p.Action, "%s, in %s", p.Purpose, b))
		case p.Optional:
			out = append(out, warn(p.Action, "%s: %s", p.Purpose, line(p.Err)))
		default:
			out = append(out, fail(p.Action, fmt.Errorf("%s: %w", p.Purpose, p.Err)))
		}
	}
	return out
}
