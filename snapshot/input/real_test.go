package input_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/input"
)

// run gives what a program makes of its standard input.
func run(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, stderr.Bytes())
	}
	return out
}

// What etcdctl of the oldest and the newest version saves, packed by the programs that people have, unpacks to the
// database that etcd sent.
func TestRealSnapshots(t *testing.T) {
	versions := etcdtest.Versions()
	for _, version := range []string{versions[0], versions[len(versions)-1]} {
		c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		client := etcdtest.Dial(t, c)
		for _, key := range []string{"a", "b", "c"} {
			_, err := client.Put(t.Context(), key, "value of "+key)
			must(t, err)
		}
		path := filepath.Join(t.TempDir(), "saved")
		_, err := c.Members[0].Etcdctl(t.Context(), "snapshot", "save", path)
		must(t, err)
		raw, err := os.ReadFile(path)
		must(t, err)
		for name, b := range map[string][]byte{
			"bare": raw, "archive": archive(t, raw), "rke-tools": rkeZip(t, raw),
			"gzip": run(t, raw, "gzip"), "zstd": run(t, raw, "zstd", "-19"), "zip": run(t, raw, "zip", "-", "-"),
		} {
			got, _, u, err := unpack(b, input.Options{})
			if err != nil || !u.Verified || !bytes.Equal(got, raw[:len(raw)-32]) {
				t.Errorf("etcd %s, %s: %d bytes, %+v, %v", version, name, len(got), u, err)
			}
		}
		// The file of a member is a database without digest.
		must(t, c.Members[0].Kill())
		live, err := os.ReadFile(filepath.Join(c.Members[0].DataDir, "member", "snap", "db"))
		must(t, err)
		_, _, _, err = unpack(live, input.Options{})
		refused(t, "a member's file", err, input.ErrNoDigest, "--skip-hash-check")
		if got, _, u, err := unpack(live, skip()); err != nil || u.Verified || !bytes.Equal(got, live) {
			t.Errorf("etcd %s, a member's file: %d bytes of %d, %v", version, len(got), len(live), err)
		}
	}
}

// Parallel compressors write several frames, or begin with a skippable one; people concatenate.
func TestUnpackReadsSeveralFrames(t *testing.T) {
	db := database(3 << 20)
	raw := withDigest(db)
	cut := 1<<20 + 77
	skippable := []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd")
	for name, b := range map[string][]byte{
		"two zstd frames":  append(zstded(t, raw[:cut]), zstded(t, raw[cut:])...),
		"skippable first":  append(bytes.Clone(skippable), zstded(t, raw)...),
		"two gzip members": append(gzipped(t, raw[:cut]), gzipped(t, raw[cut:])...),
	} {
		if got, _, u, err := unpack(b, input.Options{}); err != nil || !u.Verified || !bytes.Equal(got, db) {
			t.Errorf("%s: %d bytes, %+v, %v", name, len(got), u, err)
		}
	}
	// A window beyond what is held in memory here: 128 MiB, which zstd takes on demand only.
	b := run(t, raw, "zstd", "--ultra", "-22", "--long=27", "--no-content-size")
	_, err := open(b)
	refused(t, "a large window", err, input.ErrForm, "window", "zstd -d --long=31")
}
