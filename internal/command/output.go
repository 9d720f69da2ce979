package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// row is one snapshot as --output json shows it. Fields of a manifest that could not be read are missing.
type row struct {
	Name     snapshot.Name      `json:"name"`
	Set      string             `json:"set"`
	Node     string             `json:"node"`
	Time     time.Time          `json:"time"`
	Size     int64              `json:"size"`
	Places   []config.Place     `json:"places,omitempty"` // Local, S3
	Manifest *snapshot.Manifest `json:"manifest,omitempty"`
	Error    string             `json:"error,omitempty"`

	short string // Error in a few words, for the table
}

func snapshotRow(e snapshot.Entry, m snapshot.Manifest) row {
	r := row{Name: e.Name, Set: e.Name.Set, Node: e.Name.Node, Time: e.Name.Time, Size: e.Size}
	if m.Format != "" {
		r.Manifest = &m
	}
	return r
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable aligns the columns; each line is a slice of cells.
func printTable(w io.Writer, head []string, lines [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, l := range append([][]string{head}, lines...) {
		if _, err := fmt.Fprintln(t, strings.Join(l, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
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

// printer writes lines and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// onSELinux is true if files have labels that matter here.
func onSELinux() bool {
	_, err := os.Stat("/sys/fs/selinux/enforce")
	return err == nil
}
