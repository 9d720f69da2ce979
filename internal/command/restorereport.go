package command

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot"
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

	DryRun         bool           `json:"dry_run"`
	DataDir        string         `json:"data_dir"`
	WALDir         string         `json:"wal_dir,omitempty"`
	Owner          string         `json:"owner"`
	Name           string         `json:"name"`
	InitialCluster string         `json:"initial_cluster"`
	Token          string         `json:"initial_cluster_token"`
	LeftOut        []string       `json:"left_out,omitempty"`
	Revision       int64          `json:"revision"`
	Bumped         uint64         `json:"bumped_by,omitempty"`
	Journal        *journalReport `json:"journal,omitempty"`
	Aside          []aside        `json:"moved_aside,omitempty"`
	StateFile      string         `json:"state_file,omitempty"` // where RKE's state file is now
	Stays          []string       `json:"stays,omitempty"`      // what else is in the data directory
	Warnings       []string       `json:"warnings,omitempty"`

	logDir string // where the write-ahead log is, if not in "member" of the data directory
	next   nextSteps
}

type aside struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// newReport is called before the restore, while paths still lead to where they led when they were given.
func (r *restoring) newReport(p *restore.Plan) restoreReport {
	report := restoreReport{
		Snapshot: r.from.Name, Place: r.from.Place, Form: string(r.in.Form), Proven: p.Database.Verified, SHA256: p.Database.SHA256, Manifest: r.in.Manifest,
		DryRun: r.o.DryRun, DataDir: p.DataDir, WALDir: p.WALDir, Owner: p.Owner.String(),
		Name: p.Cluster.Name, InitialCluster: p.Cluster.Initial(), Token: p.Cluster.Token, LeftOut: p.Cluster.LeftOut,
		StateFile: r.state.path, Stays: p.Stays, logDir: p.LogDir,
		Revision: p.Revision, Bumped: r.o.BumpRevision, Journal: r.journalReport(), next: r.nextSteps(p),
	}
	for _, m := range p.Aside {
		report.Aside = append(report.Aside, aside(m))
	}
	if !r.o.DryRun {
		report.Snapshot = afterMoves(p.Aside, report.Snapshot)
	}
	return report
}

// afterMoves returns where a file is after the moves. It must be called before them. A path may lead to what is moved in more than one
// way, for example by a bind mount. What is no path of a file stays as it is.
func afterMoves(moves []restore.Move, path string) string {
	full, err := filepath.Abs(path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return path
	}
	for above := full; filepath.Dir(above) != above; above = filepath.Dir(above) {
		for _, m := range moves {
			if sameFile(above, m.From) {
				return m.To + strings.TrimPrefix(full, above)
			}
		}
	}
	return path
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// LogDir is for restoreText.
func (r restoreReport) LogDir() string { return r.logDir }

const restoreText = `{{if .DryRun}}nothing is changed (--dry-run); this would be restored:{{else}}restored{{end}} {{.DataDir}}
{{with .LogDir}}  write-ahead log  {{.}}
{{end}}  member           {{safe .Name}} of {{safe .InitialCluster}}
{{range .LeftOut}}  skipped          {{safe .}}
{{end}}  cluster token    {{safe .Token}}
  revision         {{.Revision}}{{with .Bumped}} (raised by {{.}}; all earlier revisions are compacted){{end}}
  owner            {{.Owner}}
{{with .StateFile}}  state file       {{.}}
{{end}}{{if not .Proven}}  digest           not checked (--skip-hash-check)
{{end}}{{with .Warnings}}  warnings         {{len .}}, see above
{{end}}{{range .Aside}}  moved aside      {{.From}} to {{.To}}
{{end}}{{with .Stays}}  stays            {{join . ", " | safe}}
{{end}}`

func (r restoreReport) print(out *printer) {
	if out.err = template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join, "safe": printable.Text}).Parse(restoreText)).Execute(out.w, r); r.DryRun {
		return
	}
	out.line("next steps")
	for i, step := range r.next.list() {
		out.text("  %d. %s", i+1, step)
	}
	// The commands only make sense together. However often somebody goes back and forth, no name is in use.
	var moves []string
	for _, m := range r.Aside {
		_, at, _ := strings.Cut(m.To, ".before-restore-")
		moves = append(moves, printable.Command("mv", "-T", m.From, m.From+".unwanted-"+at), printable.Command("mv", "-T", m.To, m.From))
	}
	if len(moves) > 0 {
		out.text("to go back, with etcd stopped:\n     %s", strings.Join(moves, " && \\\n     "))
	}
}
