package proctest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// module is the first line of the go.mod that marks the root of the repository.
const module = "module etcd-rolling-backup\n"

// BinEnv is the environment variable that overrides the directory of the built programs.
const BinEnv = "ETCD_BACKUP_TEST_BIN"

// Program returns the path of a program that `make tools` built, named by its path below `.cache/bin` of the repository, or below
// the directory in $ETCD_BACKUP_TEST_BIN. A missing program is an error, so that no test passes by not running.
func Program(name string) (string, error) {
	bin, err := binDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("run make tools: %w", err)
	}
	return path, nil
}

func binDir() (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		return filepath.Abs(dir)
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, ".cache", "bin"), nil
}

// repositoryRoot searches upward from this source file, which works from any working directory, and then from the working directory,
// because a binary built with -trimpath does not know the path of its source.
func repositoryRoot() (string, error) {
	var starts []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	for _, dir := range starts {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(text), module) {
				return dir, nil
			}
		}
	}
	return "", errors.New("no repository above the source file or the working directory; set " + BinEnv)
}
