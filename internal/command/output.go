package command

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// row is one snapshot as --output json shows it. Fields of a manifest that could not be read are missing.
type row struct {
	Name     snapshot.Name      `json:"name"`
	Set      string             `json:"set"`
	Node     string             `json:"node"`
	Time     time.Time          `json:"time"`
	Size     int64              `json:"size"`
	Places   []string           `json:"places,omitempty"` // local, s3
	Manifest *snapshot.Manifest `json:"manifest,omitempty"`
	Error    string             `json:"error,omitempty"`
	// Form, RawSize and StateFile are what is known without reading the data, with list only.
	Form      input.Form `json:"form,omitempty"`
	RawSize   int64      `json:"raw_size,omitempty"`
	StateFile bool       `json:"state_file,omitempty"` // RKE's state file is in it
	// Keys are the live keys: as the manifest says, or as a drill of the daemon has counted them.
	Keys snapshot.Count `json:"keys,omitzero"`
	// VersionID and Lost are for --s3-versions: the object has the snapshot only as an old version.
	VersionID string  `json:"version_id,omitempty"`
	Lost      s3.Loss `json:"lost,omitempty"` // deleted or overwritten
	// Versions are those between which a person must choose with --s3-version-id.
	Versions []s3.Candidate `json:"versions,omitempty"`
	// ClusterID is the cluster that it was taken from, and RestoredAs a listed cluster that was restored from that one.
	ClusterID  snapshot.ID `json:"cluster_id,omitempty"`
	RestoredAs snapshot.ID `json:"restored_as,omitempty"`

	short   string             // Error in a few words, for the table
	earlier bool               // than the first listed snapshot of RestoredAs
	entry   snapshot.Entry     // as it was listed
	intact  *snapshot.Manifest // of a copy in another place, if this one can't be read; nil: there is none
}

func snapshotRow(e snapshot.Entry, m snapshot.Manifest) row {
	r := row{Name: e.Name, Set: e.Name.Set, Node: e.Name.Node, Time: e.Taken(), Size: e.Size}
	if m.Format != "" {
		r.Manifest, r.ClusterID, r.Keys = &m, m.ClusterID, m.Keys
	}
	return r
}

// show prints the result: v as JSON, or what text prints of it. A JSON object also gets the warnings.
func (c *call) show(v any, text func(*printer)) error {
	if c.asJSON {
		text, err := json.MarshalIndent(v, "", "  ")
		if err == nil {
			text, err = withWarnings(text, c.warnings)
		}
		if err == nil {
			_, err = c.stdout.Write(append(printable.JSON(text), '\n'))
		}
		return err
	}
	p := &printer{w: printable.Writer(c.stdout)}
	text(p)
	return p.err
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// age is how long ago t was, in at most two units: 3d4h, 5h10m, 40s.
func age(now, t time.Time) string {
	d := now.Sub(t).Truncate(time.Second)
	switch {
	case d < 0:
		return "in the future"
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return d.String()
}

// withWarnings adds them to a JSON object as its last field, unless it has them.
func withWarnings(object []byte, warnings []string) ([]byte, error) {
	fields, ok := bytes.CutSuffix(object, []byte("\n}"))
	if !ok || len(warnings) == 0 || bytes.Contains(object, []byte("\n  \"warnings\": ")) {
		return object, nil
	}
	list, err := json.MarshalIndent(warnings, "  ", "  ")
	return slices.Concat(fields, []byte(",\n  \"warnings\": "), list, []byte("\n}")), err
}

// warn reports once what may be wrong with the result: on stderr, and as JSON.
func (c *call) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(c.warnings, text) {
		return
	}
	c.warnings = append(c.warnings, text)
	c.note("warning: %s", text)
}

// notice reports what a source says.
func (c *call) notice(text string) {
	if warning, is := strings.CutPrefix(text, "warning: "); is {
		c.warn("%s", warning)
		return
	}
	c.note("%s", text)
}

// note prints one line for people to stderr.
func (e env) note(format string, args ...any) {
	fmt.Fprintln(e.stderr, printable.Text(fmt.Sprintf(format, args...)))
}

// printer writes lines and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

// line prints one line, or several that format itself has; a text among the args never begins another one.
func (p *printer) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = printable.Text(s)
		}
	}
	p.text(format, args...)
}

// text is line for args of several lines, which must be the program's own.
func (p *printer) text(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table aligns the columns; each line is a slice of cells.
func (p *printer) table(head []string, lines [][]string) {
	t := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	for _, l := range append([][]string{head}, lines...) {
		for i := range l {
			l[i] = printable.Text(l[i])
		}
		_, err := fmt.Fprintln(t, strings.Join(l, "\t"))
		p.err = cmp.Or(p.err, err)
	}
	p.err = cmp.Or(p.err, t.Flush())
}

// progress shows a bar if w is a terminal, and nothing otherwise.
type progress struct {
	w    io.Writer
	what string
	bar  *progressbar.ProgressBar
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{w: w, what: what}
}

// update takes the bytes done and the total (0: not known).
func (p *progress) update(done, total int64) {
	if p.w == nil {
		return
	}
	if p.bar == nil {
		if total == 0 {
			total = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100e6), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(done) // only the look is lost
}

func (p *progress) done() {
	if p != nil && p.bar != nil {
		_ = p.bar.Clear() // only the look is lost
	}
}
