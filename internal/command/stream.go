package command

import (
	"bufio"
	"strings"
	"unicode/utf8"

	"etcd-rolling-backup/internal/printable"
)

// column is one of a table that is printed while it is computed.
type column struct {
	head  string
	width int // of the widest cell, in characters
}

// columns prints a table of any length, one row at a time: [printer.table] would need all of it in memory.
func (p *printer) columns(columns []column, rows func(row func(cells ...string) error) error) {
	if p.err != nil {
		return
	}
	out := bufio.NewWriter(p.w)
	write := func(cells ...string) error {
		for i, c := range cells {
			text := printable.Text(c)
			if i < len(cells)-1 {
				width := max(columns[i].width, len(columns[i].head))
				text += strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0)+3)
			}
			if _, err := out.WriteString(text); err != nil {
				return err
			}
		}
		return out.WriteByte('\n')
	}
	var heads []string
	for _, c := range columns {
		heads = append(heads, c.head)
	}
	if p.err = write(heads...); p.err == nil {
		p.err = rows(write)
	}
	if p.err == nil {
		p.err = out.Flush()
	}
}
