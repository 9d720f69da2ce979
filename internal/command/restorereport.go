package command

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

// restoreReport is what --output json shows of a restore.
type restoreReport struct {
	Snapshot string             `json:"snapshot"`
	Place    string             `json:"place"`
	Form     string             `json:"form"`
	Proven   bool               `json:"proven"` // it has a digest, which matches
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
	again   string // flags to restore the other members with
}

type aside struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// take copies what the plan says.
func (r *restoreReport) take(p *restore.Plan, o config.Restore) {
	r.DryRun = o.DryRun
	r.Proven, r.SHA256 = p.Database.Verified, p.Database.SHA256
	r.DataDir, r.WALDir, r.Owner = p.DataDir, p.WALDir, p.Owner.String()
	r.Name, r.InitialCluster, r.Token, r.LeftOut = p.Cluster.Name, p.Cluster.Initial(), p.Cluster.Token, p.Cluster.LeftOut
	r.Revision, r.Bumped = p.Revision, o.BumpRevision
	for _, m := range p.Aside {
		r.Aside = append(r.Aside, aside(m))
	}
	r.cluster = p.Cluster
	r.again = o.SameFlags()
}

// printSource says which snapshot is used, before the work begins.
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
			out.line("  taken %s (%s) on %s; its end is damaged and its manifest is lost: run verify. etcd's digest proves the database in it",
				n.Time.Format(time.DateTime+" UTC"), r.age(n.Time), n.Node)
			return out.err
		}
		out.line("  a %s, last changed %s (%s)", form, changed.UTC().Format(time.DateTime+" UTC"), r.age(changed))
		return out.err
	}
	out.line("  taken %s (%s) on %s, revision %d, database %s, etcd %s", m.CreatedAt.UTC().Format(time.DateTime+" UTC"),
		r.age(m.CreatedAt), m.Node, m.Revision, size(m.RawSize), m.EtcdVersion)
	if !m.Healthy {
		out.line("  its member knew no leader: other members may have later changes")
	}
	if len(m.Alarms) > 0 {
		out.line("  etcd had raised the alarms %s when it was taken", strings.Join(m.Alarms, ", "))
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
		out.line("  skipped          %s", m)
	}
	out.line("  cluster token    %s", r.Token)
	if r.Bumped > 0 {
		out.line("  revision         %d (raised by %d; all earlier revisions are compacted)", r.Revision, r.Bumped)
	} else {
		out.line("  revision         %d", r.Revision)
	}
	out.line("  owner            %s", r.Owner)
	if !r.Proven {
		out.line("  digest           not checked (--skip-hash-check)")
	}
	for _, m := range r.Aside {
		out.line("  moved aside      %s to %s", m.From, m.To)
	}
	if !r.DryRun {
		r.printNext(out)
	}
	return out.err
}

// steps are printed with their numbers.
type steps struct {
	*printer
	count int
}

func (s *steps) next(format string, args ...any) {
	s.count++
	s.line("  %d. "+format, append([]any{s.count}, args...)...)
}

// printNext lists the next steps in their order.
func (r *restoreReport) printNext(out *printer) {
	out.line("next steps")
	s := &steps{printer: out}
	others := r.others()
	if len(others) > 0 {
		r.printOthers(s, others)
	}
	if onSELinux() {
		s.next("restore the SELinux labels: restorecon -R %s", strings.TrimSpace(r.DataDir+" "+r.WALDir))
	}
	if len(others) > 0 {
		s.next("when all members are restored, start etcd on all of them; it answers once most of them run. Its flags on this node")
	} else {
		s.next("start etcd with these flags")
	}
	out.line("       --name %s --data-dir %s%s", r.Name, r.DataDir, walFlag(r.WALDir))
	out.line("       --initial-advertise-peer-urls %s", strings.Join(r.cluster.URLs(), ","))
	out.line("     as a systemd unit: systemctl start etcd")
	out.line("     under kubeadm: move etcd.yaml back into /etc/kubernetes/manifests, and kube-apiserver.yaml when etcd answers")
	s.next("check: etcdctl endpoint status --cluster -w table")
	if len(r.Aside) > 0 {
		out.line("to go back, with etcd stopped:")
		out.line("     %s", strings.Join(r.back(), " && \\\n     "))
	}
}

// back are the commands that undo the restore; they only make sense together. However often somebody goes back and forth, no name
// is in use.
func (r *restoreReport) back() []string {
	var moves []string
	for _, m := range r.Aside {
		_, at, _ := strings.Cut(m.To, ".before-restore-")
		moves = append(moves, fmt.Sprintf("mv -T %s %s.unwanted-%s", m.From, m.From, at), fmt.Sprintf("mv -T %s %s", m.To, m.From))
	}
	return moves
}

func walFlag(dir string) string {
	if dir == "" {
		return ""
	}
	return " --wal-dir " + dir
}

const ourCertificates = "--cacert CA --cert CERT --key KEY"

// printOthers says how the other members get the same snapshot: members that start with different bytes never agree.
func (r *restoreReport) printOthers(s *steps, names []string) {
	from := r.Snapshot
	switch {
	case strings.HasPrefix(r.Place, "s3://"):
		from += " --from s3 (and the --s3 flags as here)"
	case r.peer:
		from = "--peer " + r.Place + " " + ourCertificates
	case r.Manifest == nil: // serve accepts only archives of this program
		s.next("copy %s to each other node: all must be restored from the same file", r.Snapshot)
		from = "./" + filepath.Base(r.Snapshot)
	default:
		s.next("serve this snapshot to the other members: etcd-rolling-backup serve %s %s", r.Snapshot, ourCertificates)
		from = "--peer HOST:PORT " + ourCertificates
	}
	s.next("restore the other members, each on its node, with etcd stopped:")
	for _, name := range names {
		s.line("       %s", strings.TrimSpace(fmt.Sprintf("etcd-rolling-backup restore %s --name %s %s", from, name, r.again)))
	}
}

// others are the members that are restored on other nodes.
func (r *restoreReport) others() []string {
	var names []string
	for _, p := range r.cluster.Peers {
		if p.Name != r.Name {
			names = append(names, p.Name)
		}
	}
	return names
}
