package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// renames puts everything in its place. What fails is undone, so that the old data is under its old name again. A crash
// between two renames leaves old and new whole, each under a name that tells which it is.
func renames(moves []Move) error {
	for i, m := range moves {
		err := m.do()
		if err == nil {
			continue
		}
		err = fmt.Errorf("put the restored data in its place: %w", err)
		for _, done := range reversed(moves[:i]) {
			if undo := (Move{From: done.To, To: done.From}).do(); undo != nil {
				err = errors.Join(err, fmt.Errorf("take the step before back: %w", undo))
			}
		}
		return err
	}
	var errs []error
	for _, m := range moves {
		errs = append(errs, syncPath(filepath.Dir(m.To)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the data is in its place, and a power loss could undo that: %w", err)
	}
	return nil
}

// do is rename(2), which takes the place of an empty directory and of no other; os.Rename takes that of none.
func (m Move) do() error {
	if err := unix.Rename(m.From, m.To); err != nil {
		return &os.LinkError{Op: "rename", Old: m.From, New: m.To, Err: err}
	}
	return nil
}

func reversed(moves []Move) []Move {
	out := make([]Move, 0, len(moves))
	for i := range moves {
		out = append(out, moves[len(moves)-1-i])
	}
	return out
}
