package keyfile

import (
	"fmt"
	"os"
	"syscall"
)

// Exposed says who else can read or change a file with a secret, and what to do; "": nobody, or it can't be seen, or is no file, which
// whoever reads it reports. Access through a group is no fault where it is the only one, or is meant: for another owner, or a group that root
// has chosen.
func Exposed(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	const group, others = 0o060, 0o006
	mode := info.Mode().Perm()
	s, ok := info.Sys().(*syscall.Stat_t)
	shared := ok && (int64(s.Uid) != int64(os.Geteuid()) || s.Uid == 0 && s.Gid != 0)
	switch {
	case !shared && mode&(group|others) != 0:
		return fmt.Sprintf("%s contains a secret and is accessible to other users (mode %o): chmod 600 it", path, mode)
	case mode&others != 0:
		return fmt.Sprintf("%s contains a secret and is accessible to all users (mode %o): chmod o= it", path, mode)
	}
	return ""
}
