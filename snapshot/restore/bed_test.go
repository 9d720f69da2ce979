package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const aside = ".before-restore-20261121T120000Z"

// database creates one like etcd: this many revisions, and these members.
func database(t testing.TB, revisions int, members ...snapshot.Member) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		buckets := map[string]*bbolt.Bucket{}
		for _, name := range []string{"key", "meta", "members"} {
			if buckets[name], err = tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		for i := range revisions {
			if err := buckets["key"].Put(fmt.Appendf(nil, "%s_%s", be(i+2), be(0)), []byte("\x0a\x01k\x2a\x05value")); err != nil {
				return err
			}
		}
		for _, m := range members {
			text, err := json.Marshal(map[string]any{"id": uint64(m.ID), "name": m.Name, "peerURLs": m.PeerURLs, "isLearner": m.Learner})
			if err != nil {
				return err
			}
			if err := buckets["members"].Put([]byte(m.ID.String()), text); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, db.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func be(n int) string { return string([]byte{0, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)}) }

// given is a snapshot that is only a database; if it has an error, it ends with that.
type given struct {
	data []byte
	err  error
}

func (g given) Unpack(_ context.Context, w io.Writer, _ input.Options) (input.Unpacked, error) {
	if _, err := w.Write(g.data); err != nil {
		return input.Unpacked{}, err
	}
	sum := sha256.Sum256(g.data)
	return input.Unpacked{Size: int64(len(g.data)), SHA256: hex.EncodeToString(sum[:]), Verified: true}, g.err
}

// restored restores a data directory from a snapshot.
func restored(t testing.TB, in Input, o Options) (*Plan, error) {
	t.Helper()
	p, err := Prepare(t.Context(), in, o, noon)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	done, err := p.Run(t.Context())
	for _, w := range done.Warnings {
		t.Errorf("a warning: %v", w)
	}
	return p, err
}

// names are those in a directory.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func wantNames(t testing.TB, dir, want string) {
	t.Helper()
	if got := names(t, dir); got != want {
		t.Errorf("in %s there is %q, want %q", dir, got, want)
	}
}

// wantData demands a restored database in a data directory, or the old one.
func wantData(t testing.TB, dir string, old bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "member/snap/db"))
	if err != nil || (string(data) == "old") != old {
		t.Errorf("in %s there are %d bytes of a database, want the old one: %t (%v)", dir, len(data), old, err)
	}
}

// occupied creates a directory with old data.
func occupied(t testing.TB, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "member/snap"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, "member/wal"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "member/snap/db"), []byte("old"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "member/wal/0.wal"), []byte("old"), 0o600))
}

// refused demands a one-line error of a kind, with the words.
func refused(t testing.TB, what string, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, which is not %v", what, err, kind)
		return
	}
	for _, w := range append(words, "") {
		if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q is not in %q, or that is more than a line", what, w, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
