// Command assets writes the files of a package that are made from the command line itself: the manual page and the completions.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"etcd-rolling-backup/internal/command"
)

const name = "etcd-rolling-backup"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: assets VERSION DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

func write(version, dir string) error {
	page, err := command.Manual(version)
	if err != nil {
		return fmt.Errorf("make the manual page: %w", err)
	}
	files := map[string]string{name + ".8": page}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if files[name+"."+shell], err = command.Completion(shell); err != nil {
			return fmt.Errorf("make the completion for %s: %w", shell, err)
		}
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil { //nolint:gosec // files of a package, which everybody may read
			return err
		}
	}
	return nil
}
