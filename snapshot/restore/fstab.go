package restore

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fstab lists what the next boot mounts: fstab(5).
const fstab = "/etc/fstab"

// checkFstab refuses a place on which the next boot mounts a disk that is not mounted now: it would hide the restored data.
func checkFstab(list, dir string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil //nolint:nilerr // without the file, nothing is known
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[0], "#") || slices.Contains(strings.Split(f[3], ","), "noauto") {
			continue
		}
		at := unescape(f[1])
		if !filepath.IsAbs(at) || at == "/" { // swap; and the root, which always is mounted
			continue
		}
		if target, err := filepath.EvalSymlinks(at); err == nil {
			at = target
		}
		if !within(at, dir) && !within(dir, at) {
			continue
		}
		mounted, err := isMountPoint(at)
		if missingIsFine(err) != nil {
			return err
		}
		if !mounted {
			return fmt.Errorf("%w: %s is in %s and is not mounted: the next boot would hide the restored data: mount it, or remove it from %s", ErrTarget, at, list, list)
		}
	}
	return nil
}

// within reports whether a path is dir or in it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// unescape reads \040 for a space, as the file writes it.
func unescape(s string) string {
	return regexp.MustCompile(`\\[0-7]{3}`).ReplaceAllStringFunc(s, func(code string) string {
		n, err := strconv.ParseUint(code[1:], 8, 8)
		if err != nil {
			return code
		}
		return string([]byte{byte(n)})
	})
}
