package keyfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/keyfile"
)

// This test needs root, as CI is: files of other owners and groups.
func TestSecretFileThatOthersCanAccessIsExposed(t *testing.T) {
	const other = 12345
	for _, c := range []struct {
		mode     os.FileMode
		uid, gid int
		want     string // what to do
	}{
		{0o600, 0, 0, ""},
		{0o400, 0, 0, ""},
		{0o700, 0, 0, ""},
		{0o640, 0, 0, "chmod 600"},
		{0o644, 0, 0, "chmod 600"},
		{0o602, 0, 0, "chmod 600"},
		{0o640, 0, other, ""}, // for the group of a daemon that is not root
		{0o644, 0, other, "chmod o="},
		{0o640, other, other, ""}, // etcd's own
		{0o604, other, other, "chmod o="},
	} {
		path := write(t, "secret")
		for _, err := range []error{os.Chown(path, c.uid, c.gid), os.Chmod(path, c.mode)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		link := filepath.Join(t.TempDir(), "link") // as Kubernetes mounts secrets
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		got := keyfile.Exposed(link)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || got != "" && !strings.Contains(got, fmt.Sprintf("%s contains a secret", link)) {
			t.Errorf("mode %o of %d:%d: %q, want %q", c.mode, c.uid, c.gid, got, c.want)
		}
	}
	if got := keyfile.Exposed("/no/such/file"); got != "" {
		t.Errorf("no file: %q", got)
	}
}
