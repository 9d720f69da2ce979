package snapshot_test

import (
	"encoding/binary"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// zstd copies what does not compress, so the magic number of the first page may stand where a database has it.
func TestCompressedDatabaseIsNoDatabaseByChance(t *testing.T) {
	head := make([]byte, 64)
	binary.NativeEndian.PutUint32(head[16:], 0xED0CDAED)
	if !snapshot.IsDatabase(head) {
		t.Error("a database is not known as one")
	}
	copy(head, "\x28\xb5\x2f\xfd")
	if snapshot.IsDatabase(head) {
		t.Error("a zstd file is taken for a database")
	}
}
