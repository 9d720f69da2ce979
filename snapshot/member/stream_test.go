package member_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// sizeError is a stream of another length than was told at its begin.
type sizeError struct{ told, came int64 }

func (e *sizeError) Error() string {
	return fmt.Sprintf("the stream told %d bytes and had %d", e.told, e.came)
}

// The stream is what etcdctl of the server's own version saves: the same content according to that version's own tools, and the
// same digest. From 3.5 on a server writes a few of its own records before each snapshot, so only 3.4 returns the same bytes
// twice.
func TestStreamIsWhatEtcdctlSaves(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: 4 << 20, Seed: 1})
			must(t, err)
			m := connect(t, plain(c))
			// A new server changes its own records for some seconds; two equal snapshots of etcdctl show that it has stopped.
			eventually(t, "the server rested", func() bool {
				before, ours, after := saved(t, c), streamed(t, m), saved(t, c)
				if status(t, version, before) != status(t, version, after) || version == "3.4" && !bytes.Equal(before, after) {
					return false
				}
				if got, want := status(t, version, ours), status(t, version, before); got != want {
					t.Errorf("streamed %+v, etcdctl saved %+v", got, want)
				}
				if bytes.Equal(before, after) && !bytes.Equal(ours, before) {
					t.Errorf("streamed %d bytes that differ from the %d that etcdctl saved", len(ours), len(before))
				}
				return true
			})
		})
	}
}

// status is what etcd itself finds in a snapshot; it compares the digest at the end as well.
func status(t *testing.T, version string, snap []byte) etcdtest.SnapshotStatus {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snap.db")
	must(t, os.WriteFile(file, snap, 0o600))
	s, err := etcdtest.Status(t.Context(), version, file)
	must(t, err)
	return s
}

func saved(t *testing.T, c *etcdtest.Cluster) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snap.db")
	_, err := c.Members[0].Etcdctl(t.Context(), "snapshot", "save", file)
	must(t, err)
	b, err := os.ReadFile(file)
	must(t, err)
	return b
}

func streamed(t *testing.T, m *member.Member) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, m.Stream(t.Context(), &b, func(int64) {}))
	return b.Bytes()
}

var errFull = errors.New("no room")

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errFull }

// A failed writer ends the stream with its own error, and the connection can serve another stream.
func TestStreamEndsWithTheWriter(t *testing.T) {
	m := connect(t, plain(etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})))
	if err := m.Stream(t.Context(), fullWriter{}, func(int64) {}); !errors.Is(err, errFull) {
		t.Errorf("Stream into a full writer: %v", err)
	}
	if _, err := download(t.Context(), m); err != nil {
		t.Errorf("Stream after one that failed: %v", err)
	}
}

// If the server stops sending, the stream ends with its context.
func TestStreamEndsWithTheContext(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	m := connect(t, plain(c))
	must(t, c.Members[0].Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := download(ctx, m); err == nil {
		t.Error("Stream of a stopped server ended well")
	}
}

// A server that dies in the middle is an error, even if everything that it sent was read.
func TestStreamOfKilledServer(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: 8 << 20, Seed: 2})
	must(t, err)
	m := connect(t, plain(c))
	kill := writerFunc(func(p []byte) (int, error) { return len(p), c.Members[0].Kill() })
	err = m.Stream(t.Context(), kill, func(int64) {})
	t.Log(err)
	if err == nil {
		t.Error("the stream of a killed server ended well")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
