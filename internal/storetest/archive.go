package storetest

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// room is the space for the manifest, whose length depends on the numbers in it.
const room = 8 << 10

// Name returns the name of a node's i-th snapshot, one per hour.
func Name(t testing.TB, set, node string, i int) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(set, node, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).Add(time.Duration(i)*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Samples makes an archive of each size, to be used for several stores, because large ones take long to make.
func Samples(t testing.TB, sizes ...int) []Sample {
	t.Helper()
	var samples []Sample
	for i, size := range sizes {
		n := Name(t, snapshot.RollingSet, "a", i)
		samples = append(samples, Sample{Name: n, Data: Archive(t, n, size)})
	}
	return samples
}

// Archive makes an intact archive of exactly size bytes, at least 16 KiB. Its data does not compress; the manifest is padded
// until the size is right.
func Archive(t testing.TB, n snapshot.Name, size int) []byte {
	t.Helper()
	if size < 2*room {
		t.Fatalf("an archive of %d bytes is too small to be made to measure", size)
	}
	// zstd blocks that are stored uncompressed have headers of 3 bytes.
	raw := make([]byte, (size-room)&^511)
	seed := sha256.Sum256([]byte(n.String()))
	_, _ = rand.NewChaCha8(seed).Read(raw) // never fails
	sum := sha256.Sum256(raw)
	raw = append(raw, sum[:]...)
	version := "test"
	for range 3 {
		data := pack(t, n, raw, version)
		missing := size - len(data)
		if missing == 0 {
			return data
		}
		version += strings.Repeat("x", max(missing, 0))
	}
	t.Fatalf("no archive of %d bytes came out", size)
	return nil
}

// ArchiveAt makes a small archive of a snapshot of a revision of a cluster.
func ArchiveAt(t testing.TB, n snapshot.Name, cluster snapshot.ID, revision int64) []byte {
	t.Helper()
	return ArchiveOf(t, n, snapshot.Source{ClusterID: cluster, Revision: revision, Healthy: true})
}

// ArchiveOf makes a small archive of a snapshot of a member.
func ArchiveOf(t testing.TB, n snapshot.Name, of snapshot.Source) []byte {
	t.Helper()
	raw := make([]byte, 512)
	copy(raw, n.String())
	sum := sha256.Sum256(raw)
	return packOf(t, n, append(raw, sum[:]...), "test", of)
}

func pack(t testing.TB, n snapshot.Name, raw []byte, version string) []byte {
	t.Helper()
	return packOf(t, n, raw, version, snapshot.Source{ClusterID: 1, MemberID: 2, Revision: 3, EtcdVersion: "3.6.4", Healthy: true})
}

func packOf(t testing.TB, n snapshot.Name, raw []byte, version string, src snapshot.Source) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(snapshot.Manifest{
		Name: n.String(), CreatedAt: n.Time, Node: n.Node, ToolVersion: version,
		Source: src,
	}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
