package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// drillNote is the file in which the last drill's result outlives the process.
const drillNote = ".last-drill.json"

// DrillNote reads into v what KeepDrillNote was given last; v stays as it is when there was nothing.
func (d *Dir) DrillNote(v any) error {
	data, err := os.ReadFile(filepath.Join(d.path, drillNote))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read the last drill's result: %w", err)
	}
	return nil
}

// KeepDrillNote writes v as JSON. A crash leaves the note before it or this one.
func (d *Dir) KeepDrillNote(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keep the drill's result: %w", err)
	}
	path := filepath.Join(d.path, drillNote)
	f, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep the drill's result: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+partSuffix, path)
	}
	if err != nil {
		return fmt.Errorf("keep the drill's result: %w", err)
	}
	return nil
}
