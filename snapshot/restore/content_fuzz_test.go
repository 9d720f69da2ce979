package restore

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// FuzzContent overwrites parts of a database behind its meta pages: 3 bytes are the offset, 8 the content. What a restore reads of it is
// valid, or it is damaged.
func FuzzContent(f *testing.F) {
	const edit, behind = 11, 2 * 4096
	db := database(f, 30, snapshot.Member{ID: 1, Name: "n1", PeerURLs: []string{"http://127.0.0.1:2380"}})
	f.Add([]byte{})
	f.Add(make([]byte, edit))
	f.Add(binary.BigEndian.AppendUint64([]byte{0, 0x30, 0}, 1<<40))
	path := filepath.Join(f.TempDir(), "db")
	f.Fuzz(func(t *testing.T, edits []byte) {
		broken := append([]byte(nil), db...)
		for ; len(edits) >= edit; edits = edits[edit:] {
			at := (int(edits[0])<<16 | int(edits[1])<<8 | int(edits[2])) % (len(db) - behind - 8)
			copy(broken[behind+at:], edits[3:edit])
		}
		must(t, os.WriteFile(path, broken, 0o600))
		f, err := os.Open(path)
		must(t, err)
		c, err := lookInto(t.Context(), f, snapshot.CheckDatabase)
		if err != nil && !errors.Is(err, snapshot.ErrDamaged) {
			t.Fatalf("%v, want ErrDamaged", err)
		}
		if err == nil && (c.begins(0) < 1 || c.begins(1<<30) < c.last) {
			t.Fatalf("the restored etcd begins at %d, or raised at %d: %+v", c.begins(0), c.begins(1<<30), c)
		}
	})
}
