package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

func restoreCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "build an etcd data directory from a snapshot; existing data is never destroyed",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: slices.Concat(
			[]cli.Flag{config.Text("source", "from", "", "`PLACE`: local, s3 or peer (default: local and s3, the newer snapshot)"), config.PeerFlag()},
			config.RestoreFlags(), config.MemberFlags(), []cli.Flag{config.OutputFlag()}, config.DirFlags(), config.CertificateFlags(), config.S3Flags(), config.VersionFlags()),
		Action: e.action(1, restoreSnapshot),
	}
}

func restoreSnapshot(ctx context.Context, c *call) error {
	o, err := config.ReadRestore(c.Context)
	if err != nil {
		return err
	}
	switch at := c.origins.Of(c.Context, "data-dir"); {
	case at.Kind == config.FromDetection:
		c.note("--data-dir %s: the data directory of the etcd that was detected on this node (%s)", o.DataDir, at.Where)
		o.Default = c.etcdUser()
	case at.Kind == config.FromDefault && c.origins.DetectError != nil:
		c.note("--data-dir %s is the default: %s", o.DataDir, line(c.origins.DetectError))
	}
	now := time.Now()
	// Before anything is fetched.
	scratch, err := restore.Check(ctx, o.Options, now)
	if err == nil {
		err = checkStateFile(o.StateFile)
	}
	if err != nil {
		return err
	}
	r := &restoring{call: c, o: o, replaced: source.Replaced{ClusterID: restore.ClusterOf(o.Options), Revision: restore.RevisionOf(o.Options)}}
	before := func(ctx context.Context, m snapshot.Manifest) error {
		if _, err := restore.Check(ctx, r.options(&m), now); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		r.reviewed = true
		return nil
	}
	// A fetched one is put on the disk of --data-dir, which is the one that must have room.
	room := func(size int64) error { return restore.Room(scratch, size) }
	ask := source.Request{
		Reference: c.ref, From: o.From, Peer: o.Peer, UseIntactCopy: true, Before: before, Scratch: scratch, Room: room, At: &o.At, FindHighest: o.Kubernetes,
		Replaced: r.replaced,
	}
	for {
		again, err := r.once(ctx, &ask, now)
		if !again {
			return err
		}
		r.warn("%s: trying without it", line(err))
	}
}

// once tries one snapshot, and what continues it. again: another one may lead to the state that is asked for.
func (r *restoring) once(ctx context.Context, ask *source.Request, now time.Time) (again bool, err error) {
	more := repeated(r.o)
	p, err := r.open(ctx, *ask)
	if err != nil {
		return false, r.choices(err, r.replaced.ClusterID, more...)
	}
	defer func() { _ = errors.Join(p.File.Close(), p.Journal.Close()) }() // they were only read
	r.from = p
	given := r.o
	r.withJournal()
	if err = r.run(ctx, now); err == nil {
		return false, nil
	}
	r.o = given
	if learn(ask, p, err) {
		return true, err
	}
	if ask.Reference == snapshot.Latest && r.o.At.Text == "" && p.Journaled { // a snapshot that is named is restored without the journal
		more = append([]string{"--at", snapshot.Latest}, more...)
	}
	return false, r.orInstead(ctx, fmt.Errorf("restore %s: %w", p.Name, err), p.Snapshot, p.From, r.o.From, more...)
}

// etcdUser is who the detected etcd runs as; nil: that is not known, or systemd makes that user only when it starts etcd.
func (c *call) etcdUser() *restore.Owner {
	if c.origins.Detected.User == "" {
		return nil
	}
	owner, err := restore.ParseOwner(c.origins.Detected.User)
	if err != nil {
		return nil
	}
	return &owner
}

// repeated are the flags to restore another snapshot with in the same way.
func repeated(o config.Restore) []string {
	more := o.SameFlags
	if o.DryRun {
		more = append([]string{"--dry-run"}, more...)
	}
	if o.Name != "" {
		more = append([]string{"--name", o.Name}, more...)
	}
	if o.At.Text != "" {
		more = append([]string{"--at", o.At.Text}, more...)
	}
	return more
}

// restoring is one run of the command, from the opened snapshot on.
type restoring struct {
	*call
	o        config.Restore
	replaced source.Replaced
	from     *source.Opened
	in       *input.Input
	manifest *snapshot.Manifest // of the snapshot; nil: it has none
	reviewed bool               // before the download
	moment   string             // the path of the snapshot of the state, for the other members; "": none is needed
	state    stateFile
	bar      *progress
}

func (r *restoring) run(ctx context.Context, now time.Time) (err error) {
	if r.in, err = openInput(r.from); err != nil {
		return err
	}
	r.raise(r.in.Manifest)
	if err := r.findStateFile(); err != nil {
		return err
	}
	if err := r.announce(now); err != nil {
		return err
	}
	r.warnOfMoment()
	r.bar = newProgress(r.stderr, "unpacking")
	o := r.options(r.in.Manifest)
	o.Size, o.Progress = r.in.Size, r.bar.update
	plan, err := restore.Prepare(ctx, r.in, o, now)
	r.bar.done()
	if err != nil {
		return err
	}
	defer plan.Close()
	r.warnOfContent(plan)
	if r.o.Replace && len(plan.Aside) == 0 && r.origins.Of(r.Context, "data-dir").Kind != config.FromDetection {
		r.warn("--replace had nothing to replace in %s: is it the data directory of etcd?", plan.DataDir)
	}
	if !r.o.DryRun {
		r.saveMoment(ctx, plan)
	}
	report := r.newReport(plan)
	if !r.o.DryRun {
		record := r.lineage(plan)
		_ = r.from.File.Close() // a fetched one is on the same disk, which now needs room for the database twice
		if err := r.apply(ctx, plan); err != nil {
			return err
		}
		r.record(plan, record)
	}
	report.Warnings = r.warnings
	return r.show(report, report.print)
}

// apply restores, with the state file. What fails after the restore is a warning.
func (r *restoring) apply(ctx context.Context, plan *restore.Plan) error {
	if err := r.state.write(ctx); err != nil {
		return err
	}
	done, err := plan.Run(ctx)
	if err != nil {
		return errors.Join(err, r.state.abort())
	}
	for _, w := range done.Warnings {
		r.warn("%s", line(w))
	}
	if err := r.state.publish(ctx); err != nil {
		r.warn("the state file was not extracted: %s", line(err))
	}
	return nil
}

// options are those of the restore of a snapshot with this manifest.
func (r *restoring) options(m *snapshot.Manifest) restore.Options {
	o := r.o.Options
	if r.manifest = m; m != nil {
		o.Recorded, o.SHA256, o.Manifest = m.Members, m.RawSHA256, m
	}
	if !r.reviewed {
		o.Review = r.review
	}
	return o
}

// warn reports what may be wrong with the restore, which continues.
func (r *restoring) warn(format string, args ...any) {
	r.bar.done()
	r.call.warn(format, args...)
}

// warnOfContent warns of what only the unpacked snapshot shows.
func (r *restoring) warnOfContent(p *restore.Plan) {
	if damage := p.Database.Damage; damage != nil {
		r.warn("%s: %s; the restored data is complete, but take a new snapshot soon", r.from.Name, config.OneLine(damage.Error()))
	}
	if p.KubernetesKey != "" && r.o.BumpRevision == 0 {
		r.warn("the snapshot is of a Kubernetes cluster (it has %q), and --kubernetes is not set: the revision goes back, and controllers and nodes "+
			"may miss changes because they continue from what they have cached: restore with --kubernetes", p.KubernetesKey)
	}
}

// announce says which snapshot is used, before the work begins.
func (r *restoring) announce(now time.Time) error {
	if r.asJSON {
		return nil
	}
	info, err := r.from.File.Stat()
	if err != nil {
		return err
	}
	if err := printSource(r.stdout, r.from, r.in, info.ModTime(), now); err != nil {
		return err
	}
	out := &printer{w: r.stdout}
	r.announceJournal(out, now)
	return out.err
}

func printSource(w io.Writer, p *source.Opened, in *input.Input, changed, now time.Time) error {
	out := &printer{w: w}
	when := func(t time.Time) string {
		return fmt.Sprintf("%s (%s)", t.UTC().Format(time.DateTime+" UTC"), humanize.RelTime(t, now, "ago", "from now"))
	}
	out.line("restoring %s from %s", p.Name, p.Place)
	m := in.Manifest
	if m == nil {
		form := string(in.Form)
		if in.Member != "" {
			form += fmt.Sprintf(" with %q in it", in.Member)
		}
		if n, err := snapshot.ParseName(filepath.Base(p.Name)); err == nil && in.Form == input.FormZstd {
			out.line("  taken %s on %s; its manifest is damaged or lost", when(n.Time), n.Node)
		} else {
			if n, err := snapshot.ParseName(filepath.Base(p.Name)); err == nil && !n.Time.IsZero() {
				out.line("  a %s, taken %s", form, when(n.Time))
			} else {
				out.line("  a %s, last changed %s", form, when(changed))
			}
		}
		return out.err
	}
	on := ""
	if m.Node != "" { // the names of rke-tools do not say it
		on = " on " + m.Node
	}
	keys := ""
	if n, known := m.Keys.Get(); known {
		keys = fmt.Sprintf(", %s keys", humanize.Comma(n))
	}
	out.line("  taken %s%s, revision %d%s, database %s, etcd %s", when(m.CreatedAt), on, m.Revision, keys, size(m.RawSize), m.EtcdVersion)
	if !m.Healthy {
		out.line("  its member knew no leader: other members may have later changes")
	}
	if len(m.Alarms) > 0 {
		out.line("  etcd had raised the alarms %s when it was taken", strings.Join(m.Alarms, ", "))
	}
	return out.err
}
