package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

func checkCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "test everything the daemon needs and print a line for each; takes the daemon's flags",
		Flags:  append(daemonFlags(), config.OutputFlag()),
		Action: func(c *cli.Context) error { return check(c, e) },
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

func check(c *cli.Context, e env) error {
	cfg, asJSON, err := settings(c)
	if err != nil {
		return err
	}
	m, err := cfg.Etcd.Member()
	if err != nil {
		return err
	}
	now, dir := time.Now(), snapshot.NewDir(cfg.Store.Dir)
	findings := []finding{checkSchedule(cfg.Schedule, now), okay("retention", "%s", cfg.Policy)}
	store := checkDirectory(dir, cfg.Store.MinFree)
	findings = append(findings, store...)
	if store[0].err == nil {
		findings = append(findings, checkNewest(dir, cfg, now))
	}
	findings = append(findings, checkCertificates(m, now)...)
	findings = append(findings, checkEtcd(c.Context, m)...)
	if cfg.S3 != nil {
		findings = append(findings, checkBucket(c.Context, cfg.S3)...)
	}
	findings = append(findings, checkMonitor(c.Context, cfg.Monitor)...)
	if asJSON {
		err = printJSON(e.stdout, findings)
	} else {
		err = printFindings(e, findings)
	}
	return errors.Join(err, failures(findings))
}

// failures is nil when nothing failed. It keeps what failed in its chain, for the exit status.
func failures(findings []finding) error {
	var all []error
	var names []string
	for _, f := range findings {
		if f.err != nil {
			all = append(all, f.err)
			names = append(names, f.Check)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &checkError{names: names, errs: all}
}

// checkError says which checks failed; the table says why.
type checkError struct {
	names []string
	errs  []error
}

func (e *checkError) Error() string   { return "check failed: " + strings.Join(e.names, ", ") }
func (e *checkError) Unwrap() []error { return e.errs }

func printFindings(e env, findings []finding) error {
	var lines [][]string
	for _, f := range findings {
		lines = append(lines, []string{f.Status, f.Check, f.Detail})
	}
	return printTable(e.stdout, []string{"STATUS", "CHECK", "DETAIL"}, lines)
}

func checkSchedule(s daemon.Schedule, now time.Time) finding {
	first := s.Next(now)
	return okay("schedule", "%s: next runs %s and %s", s, first.Format(time.RFC3339), s.Next(first).Format(time.RFC3339))
}

func checkDirectory(dir *snapshot.Dir, minFree int64) []finding {
	if err := dir.Prepare(); err != nil {
		return []finding{fail("directory", err)}
	}
	found := okay("directory", "%s is writable", dir.Path())
	if info, err := os.Stat(dir.Path()); err != nil {
		found = fail("directory", err)
	} else if info.Mode().Perm()&0o077 != 0 {
		found = warn("directory", "%s is accessible to other users (mode %o), and snapshots hold every secret of the cluster: chmod 700 it", dir.Path(), info.Mode().Perm())
	}
	free, err := dir.Free()
	switch {
	case err != nil:
		return []finding{found, fail("free space", err)}
	case free < minFree:
		return []finding{found, fail("free space", fmt.Errorf("%s, but --min-free is %s: free some space, or lower it", size(free), size(minFree)))}
	}
	return []finding{found, okay("free space", "%s, of which --min-free keeps %s", size(free), size(minFree))}
}

func checkNewest(dir *snapshot.Dir, cfg config.Config, now time.Time) finding {
	const what = "newest snapshot"
	l, err := dir.List()
	if err != nil {
		return fail(what, err)
	}
	e, ok := daemon.Newest(l, cfg.Store.Node, now)
	age := func() string { return age(now, e.Name.Time) }
	for _, first := range l.Snapshots {
		switch {
		case !first.Name.Rolling(cfg.Store.Node):
			continue
		case first.Name.Time.After(now) && ok:
			return warn(what, "%s is dated in the future: a clock is or was wrong; the newest before it is %s, %s old", first.Name, e.Name, age())
		case first.Name.Time.After(now):
			return warn(what, "%s is dated in the future: a clock is or was wrong", first.Name)
		}
		break
	}
	if ok {
		if _, err := dir.Manifest(e.Name); err != nil {
			return fail(what, err)
		}
		if cfg.Schedule.Next(e.Name.Time).Before(now) {
			return warn(what, "%s is %s old: a run was missed", e.Name, age())
		}
		return okay(what, "%s, %s old", e.Name, age())
	}
	return warn(what, "node %s has no rolling snapshot yet", cfg.Store.Node)
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

func checkEtcd(ctx context.Context, cfg member.Config) []finding {
	m, err := member.Connect(ctx, cfg)
	if err != nil {
		return []finding{fail("etcd", err)}
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
	if !s.Healthy {
		out = append(out, warn("leader", "the member knows no leader: snapshots work, but the cluster does not"))
	}
	for _, a := range s.Alarms {
		out = append(out, warn("alarm", "etcd has raised %s", a))
	}
	if err := m.Close(); err != nil {
		out = append(out, fail("etcd", err))
	}
	return out
}

// errEnough stops a stream once its first bytes have arrived.
var errEnough = errors.New("enough")

type firstBytes struct{}

func (firstBytes) Write([]byte) (int, error) { return 0, errEnough }

// tryStream opens a snapshot stream and stops it again: there is no other way to know whether a user may.
func tryStream(ctx context.Context, m *member.Member) error {
	ctx, cancel := context.WithTimeout(ctx, streamTry)
	defer cancel()
	if err := m.Stream(ctx, firstBytes{}, func(int64) {}); !errors.Is(err, errEnough) {
		return fmt.Errorf("open the snapshot stream: %w", err)
	}
	return nil
}

const streamTry = 30 * time.Second

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
