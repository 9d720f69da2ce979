package command

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

// restoreReport is what --output json shows of a restore.
type restoreReport struct {
	Snapshot string             `json:"snapshot"`
	Place    string             `json:"place"`
	Form     string             `json:"form"`
	Proven   bool               `json:"proven"` // a digest was there and fits
	SHA256   string             `json:"raw_sha256"`
	Manifest *snapshot.Manifest `json:"manifest,omitempty"`

	DryRun         bool     `json:"dry_run"`
	DataDir        string   `json:"data_dir"`
	WALDir         string   `json:"wal_dir,omitempty"`
	Owner          string   `json:"owner"`
	Name           string   `json:"name"`
	InitialCluster string   `json:"initial_cluster"`
	Token          string   `json:"initial_cluster_token"`
	LeftOut        []string `json:"left_out,omitempty"`
	Revision       int64    `json:"revision"`
	Bumped         uint64   `json:"bumped_by,omitempty"`
	Aside          []aside  `json:"moved_aside,omitempty"`

	now     time.Time
	peer    bool // Place is one
	cluster restore.Cluster
	again   string // the flags that other members are restored with
}

type aside struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// take notes what the plan says.
func (r *restoreReport) take(c *cli.Context, p *restore.Plan, o restore.Options) {
	r.DryRun = c.Bool("dry-run")
	r.Proven, r.SHA256 = p.Database.Proven, p.Database.SHA256
	r.DataDir, r.WALDir, r.Owner = p.DataDir, p.WALDir, p.Owner.String()
	r.Name, r.InitialCluster, r.Token, r.LeftOut = p.Cluster.Name, p.Cluster.Initial(), p.Cluster.Token, p.Cluster.LeftOut
	r.Revision, r.Bumped = p.Revision, o.BumpRevision
	for _, m := range p.Aside {
		r.Aside = append(r.Aside, aside(m))
	}
	r.cluster = p.Cluster
	r.again = sameFlags(c)
}

// sameFlags are those that must be alike on all members, and where files go, which mostly is.
func sameFlags(c *cli.Context) string {
	var flags []string
	for _, name := range []string{"replace", "kubernetes", "mark-compacted", "skip-hash-check"} {
		if c.Bool(name) {
			flags = append(flags, "--"+name)
		}
	}
	if n := c.Int("bump-revision"); n > 0 {
		flags = append(flags, fmt.Sprintf("--bump-revision %d", n))
	}
	for _, name := range []string{"members", "initial-cluster", "initial-cluster-token", "data-dir", "wal-dir", "chown"} {
		if v := c.String(name); c.IsSet(name) && v != "" {
			flags = append(flags, "--"+name+" "+v)
		}
	}
	return strings.Join(flags, " ")
}

// printSource says which snapshot is taken, before the work begins.
func (r *restoreReport) printSource(w io.Writer, in *input.Input, changed time.Time) error {
	out := &printer{w: w}
	out.line("restoring %s from %s", r.Snapshot, r.Place)
	m := r.Manifest
	if m == nil {
		form := string(in.Form)
		if in.Member != "" {
			form += " with " + in.Member + " in it"
		}
		if n, err := snapshot.ParseName(filepath.Base(r.Snapshot)); err == nil && in.Form == input.FormZstd {
			out.line("  taken %s (%s) on %s; its end is damaged and its manifest lost: run verify. The database in it is proven by etcd's digest",
				n.Time.Format(time.DateTime+" UTC"), r.age(n.Time), n.Node)
			return out.err
		}
		out.line("  a %s, last changed %s (%s)", form, changed.UTC().Format(time.DateTime+" UTC"), r.age(changed))
		return out.err
	}
	out.line("  taken %s (%s) on %s, revision %d, database %s, etcd %s", m.CreatedAt.UTC().Format(time.DateTime+" UTC"),
		r.age(m.CreatedAt), m.Node, m.Revision, size(m.RawSize), m.EtcdVersion)
	if !m.Healthy {
		out.line("  its member knew no leader: others may hold later changes")
	}
	if len(m.Alarms) > 0 {
		out.line("  etcd raised the alarms %s when it was taken", strings.Join(m.Alarms, ", "))
	}
	return out.err
}

func (r *restoreReport) age(t time.Time) string { return humanize.RelTime(t, r.now, "ago", "from now") }

func (r *restoreReport) print(w io.Writer) error {
	out := &printer{w: w}
	verb := "restored"
	if r.DryRun {
		verb = "nothing is changed (--dry-run); this would be restored:"
	}
	out.line("%s %s", verb, r.DataDir)
	if r.WALDir != "" {
		out.line("  write-ahead log  %s", r.WALDir)
	}
	out.line("  member           %s of %s", r.Name, r.InitialCluster)
	for _, m := range r.LeftOut {
		out.line("  left out         %s", m)
	}
	out.line("  cluster token    %s", r.Token)
	if r.Bumped > 0 {
		out.line("  revision         %d (raised by %d, all before counts as compacted)", r.Revision, r.Bumped)
	} else {
		out.line("  revision         %d", r.Revision)
	}
	out.line("  owner            %s", r.Owner)
	if !r.Proven {
		out.line("  proof            none: --skip-hash-check waived it")
	}
	for _, m := range r.Aside {
		out.line("  moved aside      %s to %s", m.From, m.To)
	}
	if !r.DryRun {
		r.printNext(out)
	}
	return out.err
}
