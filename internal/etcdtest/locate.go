package etcdtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"etcd-rolling-backup/internal/proctest"
)

// Program returns the path of a program ("etcd", "etcdctl", "etcdutl") of one of Versions, as `make tools` built it:
// `.cache/bin/etcd-<version>/<name>` of the repository, or `etcd-<version>/<name>` in $ETCD_BACKUP_TEST_BIN.
// A missing program is an error, so that no test passes by not running. There is no etcdutl 3.4.
func Program(version, name string) (string, error) {
	if !slices.Contains(Versions(), version) {
		return "", fmt.Errorf("unknown etcd version %q: want one of %s", version, strings.Join(Versions(), ", "))
	}
	path, err := proctest.Program(filepath.Join("etcd-"+version, name))
	if err != nil {
		return "", fmt.Errorf("find %s %s: %w", name, version, err)
	}
	return path, nil
}
