package command

import (
	"slices"

	"etcd-rolling-backup/snapshot/input"
)

// These columns are printed only if they distinguish something.
const (
	columnCluster = "CLUSTER"
	columnForm    = "FORM"
)

// table prints the columns that say something.
func (l *listing) table(out *printer, head []string, lines [][]string) {
	if l.clusters() < 2 {
		head, lines = without(columnCluster, head, lines)
	}
	if !slices.ContainsFunc(l.Snapshots, func(r row) bool { return r.Name.File != "" }) {
		head, lines = without(columnForm, head, lines)
	}
	out.table(head, lines)
}

func without(column string, head []string, lines [][]string) ([]string, [][]string) {
	at := slices.Index(head, column)
	for i := range lines {
		lines[i] = slices.Delete(lines[i], at, at+1)
	}
	return slices.Delete(head, at, at+1), lines
}

// form is the cell of the table.
func (r row) form() string {
	switch {
	case r.Form == "":
		return "-"
	case r.Form == input.FormZip && r.StateFile:
		return "zip + state file"
	}
	return string(r.Form)
}
