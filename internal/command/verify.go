package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/input"
)

func verifyCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "verify that a snapshot is intact, in any form that restore takes: compression, digests, every page of the database",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path; of the journal: a segment's name or path",
		Flags: slices.Concat([]cli.Flag{
			config.MinFreeFlag("the unpacked database"),
			config.Bool("general", "restore", "also restore it as a test: start an etcd on it that nobody can reach, and compare what that has"),
			config.Text("store", "from", "", "`PLACE`: local or s3 (default: both, the newer snapshot)"), config.OutputFlag(),
		}, config.DirFlags(), config.S3Flags(), config.VersionFlags()),
		Action: e.action(1, verify),
	}
}

// verified is what --output json shows of a snapshot that is intact.
type verified struct {
	File     string     `json:"file"`
	Place    string     `json:"place"`
	Form     input.Form `json:"form"`
	Proven   bool       `json:"proven"` // it has a digest, which matches
	Size     int64      `json:"size"`
	RawSize  int64      `json:"raw_size"`
	Revision int64      `json:"revision"`
	Keys     int        `json:"keys"` // live keys, not revisions
	// Resources are the keys of each type of Kubernetes, by the beginning of the keys.
	Resources map[string]int64   `json:"resources,omitempty"`
	Hash      string             `json:"hash"`
	Manifest  *snapshot.Manifest `json:"manifest,omitempty"`
	Drill     *drill.Result      `json:"drill,omitempty"`
	Journal   *provenJournal     `json:"journal,omitempty"` // that continues it

	member string // of a zip
}

func verify(ctx context.Context, c *call) error {
	if n, ok := segmentName(c.ref); ok {
		return verifySegment(ctx, c, n)
	}
	p, err := openStored(ctx, c, true)
	if err != nil {
		return err
	}
	defer p.File.Close()
	j, closeJournal, err := c.journalOf(ctx, p)
	if err != nil {
		return err
	}
	defer closeJournal()
	r, proven, damage, err := verifyWithJournal(ctx, c, p, j)
	if err != nil {
		var more []string
		if c.Bool("restore") {
			more = []string{"--restore"}
		}
		return c.orInstead(ctx, fmt.Errorf("verify %s: %w", p.Name, err), p.Snapshot, p.From, config.Place(c.String("from")), more...)
	}
	v := verified{
		File: p.Name, Place: p.Place, Form: r.Form, Proven: r.Proven, Size: r.Size, RawSize: r.RawSize, Revision: r.Revision, Keys: r.Keys, Resources: r.Resources,
		Hash: fmt.Sprintf("%x", r.Hash), Manifest: r.Manifest, member: r.Member, Journal: proven,
	}
	if c.Bool("restore") {
		d, journalErr, err := drillOpened(ctx, c, p, r.RawSize, j, proven)
		if err != nil {
			return err
		}
		v.Drill, damage = &d, errors.Join(damage, journalErr)
	}
	if m := v.Manifest; !c.asJSON && m != nil && m.Name != filepath.Base(v.File) {
		c.note("the file is a renamed copy of %s", m.Name)
	}
	return errors.Join(c.show(v, v.print), damage)
}

// verifyInto gives the verdict of all commands on a file, and writes its database to db, which it closes.
func verifyInto(ctx context.Context, c *call, p *source.Opened, db *os.File) (input.Report, error) {
	in, err := openInput(p)
	if err != nil {
		return input.Report{}, errors.Join(err, db.Close())
	}
	bar := newProgress(c.stderr, "unpacking")
	defer bar.done()
	r, err := input.VerifyInto(ctx, p.File, db, p.Scratch, c.cfg.Store.MinFree, bar.update)
	if err == nil && in.Damage != nil {
		err = snapshot.IntactDatabase(in.Damage)
	}
	return r, err
}

func (v verified) print(out *printer) {
	if m := v.Manifest; m != nil {
		out.line("%s is intact\n  revision %d, %d keys, hash %s, database %s, taken %s from etcd %s",
			v.File, v.Revision, v.Keys, v.Hash, size(m.RawSize), m.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), m.EtcdVersion)
	} else {
		verdict, what := "is intact", string(v.Form)
		if v.member != "" {
			what += fmt.Sprintf(" with %q in it", v.member)
		}
		if v.Proven {
			what += ": etcd's digest matches, and all pages are valid"
		} else {
			verdict = "has no fault in its pages"
			what += ": it has no digest, so only the pages were checked; restore needs --skip-hash-check"
		}
		out.line("%s %s\n  %s\n  revision %d, %d keys, hash %s, database %s", v.File, verdict, what, v.Revision, v.Keys, v.Hash, size(v.RawSize))
	}
	if v.Journal != nil {
		v.Journal.print(out)
	}
	if d := v.Drill; d != nil {
		with, as := "", "in the snapshot"
		if d.Journal != nil {
			with, as = " with the journal", "in the snapshot with the journal"
		}
		out.line("  restored as a test%s: etcd %s has all %d keys at revision %d, HashKV %d as %s, took %s",
			with, d.EtcdVersion, d.Keys, d.Revision, d.HashKV, as, d.Took.All().Round(time.Millisecond))
		for _, w := range d.Warnings {
			out.line("  warning: %s", w)
		}
	}
}

// openStored opens the snapshot in the place that --from names, the newer one of both without --from, or the file if it is a path.
// anyCluster opens the newest of all clusters instead of refusing to choose.
func openStored(ctx context.Context, c *call, anyCluster bool) (*source.Opened, error) {
	from, err := config.ReadPlace(c.Context, config.Anywhere, config.Local, config.S3)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, source.Request{From: from, MinFree: c.cfg.Store.MinFree, AnyCluster: anyCluster})
}

// drillOpened is the drill of verify --restore, with a bar while it unpacks. journalErr is about the journal, if the snapshot alone can be restored.
func drillOpened(
	ctx context.Context, c *call, p *source.Opened, rawSize int64, j *source.Journal, proven *provenJournal,
) (r drill.Result, journalErr, err error) {
	bar := newProgress(c.stderr, "restoring")
	defer bar.done()
	continued, err := proven.bundle(ctx, j, p.Scratch)
	if err != nil {
		return r, nil, err
	}
	if continued != nil {
		defer continued.File.Close() // a temporary file
	}
	r, journalErr, err = service.StartContinuedDrill(ctx, p.File, rawSize, p.Scratch, c.cfg.Store.MinFree, func(s drill.Step) {
		if s.Stage == drill.StageUnpack && s.Total > 0 {
			bar.update(s.Done, s.Total)
		}
	}, continued)
	if err != nil {
		err = fmt.Errorf("restore %s as a test: %w", p.Name, err)
	}
	if journalErr != nil {
		journalErr = fmt.Errorf("restore %s with the journal as a test: %w: the snapshot alone can be restored", p.Name, journalErr)
	}
	return r, journalErr, err
}
