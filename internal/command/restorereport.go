package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
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
	Stays          []string `json:"stays,omitempty"`    // what else is in the data directory
	Warnings       []string `json:"warnings,omitempty"` // what failed after the restore

	logDir   string // where the write-ahead log is, if not in "member" of the data directory
	fromPeer bool
	others   []string // the members that are restored on other nodes
	peerURLs []string
	again    string // flags to restore the other members with
}

type aside struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func newRestoreReport(from *source.Opened, in *input.Input, p *restore.Plan, o config.Restore) restoreReport {
	r := restoreReport{
		Snapshot: from.Name, Place: from.Place, Form: string(in.Form), Proven: p.Database.Verified, SHA256: p.Database.SHA256, Manifest: in.Manifest,
		DryRun: o.DryRun, DataDir: p.DataDir, WALDir: p.WALDir, Owner: p.Owner.String(),
		Name: p.Cluster.Name, InitialCluster: p.Cluster.Initial(), Token: p.Cluster.Token, LeftOut: p.Cluster.LeftOut,
		Stays: p.Stays, logDir: p.LogDir,
		Revision: p.Revision, Bumped: o.BumpRevision, fromPeer: from.From == config.Peer, peerURLs: p.Cluster.URLs(), again: o.SameFlags,
	}
	for _, m := range p.Aside {
		r.Aside = append(r.Aside, aside(m))
	}
	for _, peer := range p.Cluster.Peers {
		if peer.Name != r.Name {
			r.others = append(r.others, peer.Name)
		}
	}
	return r
}

// LogDir is for restoreText.
func (r restoreReport) LogDir() string { return r.logDir }

func (r *restoreReport) warn(errs []error) {
	for _, err := range errs {
		r.Warnings = append(r.Warnings, line(err))
	}
}

const restoreText = `{{if .DryRun}}nothing is changed (--dry-run); this would be restored:{{else}}restored{{end}} {{.DataDir}}
{{with .LogDir}}  write-ahead log  {{.}}
{{end}}  member           {{.Name}} of {{.InitialCluster}}
{{range .LeftOut}}  skipped          {{.}}
{{end}}  cluster token    {{.Token}}
  revision         {{.Revision}}{{with .Bumped}} (raised by {{.}}; all earlier revisions are compacted){{end}}
  owner            {{.Owner}}
{{if not .Proven}}  digest           not checked (--skip-hash-check)
{{end}}{{range .Aside}}  moved aside      {{.From}} to {{.To}}
{{end}}{{with .Stays}}  stays            {{join . ", "}}
{{end}}{{range .Warnings}}  warning          {{.}}
{{end}}`

func (r restoreReport) print(out *printer) {
	if out.err = template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join}).Parse(restoreText)).Execute(out.w, r); r.DryRun {
		return
	}
	out.line("next steps")
	for i, step := range r.steps() {
		out.line("  %d. %s", i+1, step)
	}
	// The commands only make sense together. However often somebody goes back and forth, no name is in use.
	var moves []string
	for _, m := range r.Aside {
		_, at, _ := strings.Cut(m.To, ".before-restore-")
		moves = append(moves, fmt.Sprintf("mv -T %s %s.unwanted-%s", m.From, m.From, at), fmt.Sprintf("mv -T %s %s", m.To, m.From))
	}
	if len(moves) > 0 {
		out.line("to go back, with etcd stopped:\n     %s", strings.Join(moves, " && \\\n     "))
	}
}

// steps come next, in their order. Further lines of a step are indented.
func (r restoreReport) steps() (steps []string) {
	start := "start etcd with these flags"
	if len(r.others) > 0 {
		steps = r.restoreOthers()
		start = "when all members are restored, start etcd on all of them; it answers once most of them run. Its flags on this node"
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		steps = append(steps, "restore the SELinux labels: restorecon -R "+strings.TrimSpace(r.DataDir+" "+r.logDir))
	}
	wal := ""
	if r.WALDir != "" {
		wal = " --wal-dir " + r.WALDir
	}
	return append(steps, fmt.Sprintf(`%s
       --name %s --data-dir %s%s
       --initial-advertise-peer-urls %s
     as a systemd unit: systemctl start etcd
     under kubeadm: move etcd.yaml back into /etc/kubernetes/manifests, and kube-apiserver.yaml when etcd answers`,
		start, r.Name, r.DataDir, wal, strings.Join(r.peerURLs, ",")), "check: etcdctl endpoint status --cluster -w table")
}

// restoreOthers says how the other members get the same snapshot: members that start with different bytes never agree.
func (r restoreReport) restoreOthers() (steps []string) {
	const certificates = "--cacert CA --cert CERT --key KEY"
	from := r.Snapshot
	switch {
	case strings.HasPrefix(r.Place, "s3://"):
		from += " --from s3 (and the --s3 flags as here)"
	case r.fromPeer:
		from = "--peer " + r.Place + " " + certificates
	case r.Manifest == nil: // serve accepts only archives of this program
		steps = append(steps, fmt.Sprintf("copy %s to each other node: all must be restored from the same file", r.Snapshot))
		from = "./" + filepath.Base(r.Snapshot)
	default:
		steps = append(steps, fmt.Sprintf("serve this snapshot to the other members: etcd-rolling-backup serve %s %s", r.Snapshot, certificates))
		from = "--peer HOST:PORT " + certificates
	}
	commands := "restore the other members, each on its node, with etcd stopped:"
	for _, name := range r.others {
		commands += "\n       " + strings.TrimSpace(fmt.Sprintf("etcd-rolling-backup restore %s --name %s %s", from, name, r.again))
	}
	return append(steps, commands)
}
