package command

import (
	"errors"
	"fmt"
	"slices"

	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// openInput detects what a snapshot file is. A file with the name of a snapshot must be one: something else is damage, not a wrong choice.
func openInput(p *source.Opened) (*input.Input, error) {
	info, err := p.File.Stat()
	if err != nil {
		return nil, err
	}
	in, err := input.Open(p.File, info.Size())
	switch {
	case p.Snapshot == snapshot.Name{}:
	case errors.Is(err, input.ErrForm) && !errors.Is(err, snapshot.ErrDamaged):
		err = fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	case err == nil && in.Damage == nil:
		in.Damage = wrongForm(p.Snapshot, in)
	}
	return in, err
}

// wrongForm is the damage of a file that is not in a form in which a snapshot of that name is stored, as all commands see it; nil: it is.
func wrongForm(n snapshot.Name, in *input.Input) error {
	switch {
	case in.Manifest != nil, n.File != "" && slices.Contains([]input.Form{input.FormZip, input.FormDatabase}, in.Form):
		return nil
	case in.Form == input.FormZstd:
		return fmt.Errorf("%w: the end is cut off: it has no manifest", snapshot.ErrDamaged)
	}
	return fmt.Errorf("%w: by its name it is an archive, but it is a %s without a manifest", snapshot.ErrDamaged, in.Form)
}
