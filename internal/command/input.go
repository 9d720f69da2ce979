package command

import (
	"errors"
	"fmt"
	"path/filepath"

	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// openInput detects what a snapshot file is. A file with the name of an archive must be one: something else is damage, not a wrong choice.
func openInput(p *source.Opened) (*input.Input, error) {
	info, err := p.File.Stat()
	if err != nil {
		return nil, err
	}
	in, err := input.Open(p.File, info.Size())
	if _, other := snapshot.ParseName(filepath.Base(p.Name)); other != nil {
		return in, err
	}
	switch {
	case errors.Is(err, input.ErrForm) && !errors.Is(err, snapshot.ErrDamaged):
		err = fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	case err == nil && in.Form == input.FormZstd && in.Damage == nil:
		in.Damage = fmt.Errorf("%w: the end is cut off: it has no manifest", snapshot.ErrDamaged)
	}
	return in, err
}
