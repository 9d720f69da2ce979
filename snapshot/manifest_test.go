package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// frame builds the end of an archive of dataSize bytes around any text, as docs/FORMAT.md describes it and not with the
// package's own code.
func frame(manifest []byte, dataSize uint64) []byte {
	const footer = 8 + 4 + 32 + 8
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x184D2A5E)
	b = le.AppendUint32(b, uint32(len(manifest)+footer))
	b = append(b, manifest...)
	lengths := le.AppendUint32(le.AppendUint64(nil, dataSize), uint32(len(manifest)))
	sum := sha256.Sum256(append(bytes.Clone(manifest), lengths...))
	return append(append(append(b, lengths...), sum[:]...), "etcdRB\x001"...)
}

// decode reads a manifest as the end of an archive that has no data.
func decode(manifest []byte) (snapshot.Manifest, error) {
	tail := frame(manifest, 0)
	m, _, err := snapshot.DecodeTail(tail, int64(len(tail)))
	return m, err
}

// fields returns a complete manifest as JSON, with some fields replaced.
func fields(t testing.TB, replaced map[string]any) []byte {
	t.Helper()
	m := manifestA(42)
	m.Format = snapshot.Format
	m.RawSize, m.RawSHA256, m.ArchiveSHA256 = 544, strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	text, err := json.Marshal(m)
	must(t, err)
	all := map[string]any{}
	must(t, json.Unmarshal(text, &all))
	maps.Copy(all, replaced)
	text, err = json.Marshal(all)
	must(t, err)
	return text
}

func TestManifestIsWhatWasWritten(t *testing.T) {
	before := time.FixedZone("", -3600)
	m := manifestA(1001)
	m.CreatedAt = nameA().Time.Add(123 * time.Millisecond).In(before)
	m.Alarms = []string{"NOSPACE"}
	m.Members = append(m.Members, snapshot.Member{ID: 1, Name: "äöü <&>", Learner: true})
	raw := withDigest(make([]byte, 512))
	packed := archive(t, raw, m)
	got, data, err := snapshot.DecodeTail(packed, int64(len(packed)))
	must(t, err)

	sum := sha256.Sum256(packed[:data])
	m.Format, m.RawSize = "etcd-rolling-backup/1", 544
	m.RawSHA256, m.ArchiveSHA256 = hex.EncodeToString(raw[512:]), hex.EncodeToString(sum[:])
	m.ArchiveCRC32C = fmt.Sprintf("%08x", crc32.Checksum(packed[:data], crc32.MakeTable(crc32.Castagnoli)))
	want, err := json.Marshal(m)
	must(t, err)
	have, err := json.Marshal(got)
	must(t, err)
	if !bytes.Equal(have, want) {
		t.Errorf("read   %s\nwrote  %s", have, want)
	}
	// The package's own frame is the documented one.
	if !bytes.Equal(packed[data:], frame(want, uint64(data))) {
		t.Error("the end of the archive is not laid out as documented")
	}
}

func TestManifestOfLaterVersions(t *testing.T) {
	m, err := decode(fields(t, map[string]any{"encryption": map[string]any{"key": 1}, "zzz": nil}))
	if err != nil || m.Revision != 42 {
		t.Errorf("with unknown fields: revision %d and %v", m.Revision, err)
	}
	for _, replaced := range []map[string]any{
		{"format": "etcd-rolling-backup/2"},
		{"format": "etcd-rolling-backup/2", "raw_size": "a text in this format", "members": 7},
		{"format": "else"},
		{"format": ""},
	} {
		_, err := decode(fields(t, replaced))
		if !errors.Is(err, snapshot.ErrFormat) || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%v: %v, want ErrFormat", replaced, err)
		}
	}
}

func TestManifestRefuses(t *testing.T) {
	for _, replaced := range []map[string]any{
		{"name": "rolling_node-a.db.zst"},
		{"name": "../x"},
		{"name": "rolling_other_20261121T220000Z.db.zst"},
		{"name": nil},
		{"node": "other"},
		{"created_at": "2026-11-21T22:00:01Z"},
		{"created_at": "yesterday"},
		{"created_at": nil},
		{"raw_size": 32},
		{"raw_size": -1},
		{"raw_size": 1e30},
		{"raw_size": "544"},
		{"raw_sha256": ""},
		{"raw_sha256": strings.Repeat("ab", 31)},
		{"raw_sha256": strings.Repeat("xy", 32)},
		{"archive_sha256": strings.Repeat("ab", 33)},
		{"archive_sha256": 1},
		{"cluster_id": 1},
		{"cluster_id": ""},
		{"member_id": "0x1"},
		{"member_id": "ABC"},
		{"member_id": "11112222333344445"},
		{"members": []any{map[string]any{"id": "-1"}}},
		{"format": 1},
	} {
		if _, err := decode(fields(t, replaced)); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%v: %v, want ErrDamaged", replaced, err)
		}
	}
	whole := fields(t, nil)
	for _, text := range [][]byte{
		nil, []byte("null"), []byte("{}{}"), []byte("[]"), []byte(`"x"`), whole[:len(whole)-1],
		append(bytes.Clone(whole), '{'), append(bytes.Clone(whole), whole...),
	} {
		if _, err := decode(text); err == nil {
			t.Errorf("%q is taken for a manifest", text)
		}
	}
}

func TestFinishRefusesManifests(t *testing.T) {
	for name, change := range map[string]func(*snapshot.Manifest){
		"no name":        func(m *snapshot.Manifest) { m.Name = "" },
		"another node":   func(m *snapshot.Manifest) { m.Node = "b" },
		"another second": func(m *snapshot.Manifest) { m.CreatedAt = m.CreatedAt.Add(time.Second) },
		"too long":       func(m *snapshot.Manifest) { m.ToolVersion = strings.Repeat("1", snapshot.TailSize) },
	} {
		w, err := snapshot.NewWriter(&bytes.Buffer{})
		must(t, err)
		must(t, inMessages(w, withDigest(make([]byte, 512)), 100))
		m := manifestA(1)
		change(&m)
		if _, err := w.Finish(m); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[snapshot.ID]string{0: "0", 0x8e9e05c52164694d: "8e9e05c52164694d", 1<<64 - 1: "ffffffffffffffff", 31: "1f"} {
		text, err := id.MarshalText()
		must(t, err)
		var back snapshot.ID
		must(t, back.UnmarshalText(text))
		if string(text) != want || back != id {
			t.Errorf("ID %d is written %s and read %d", uint64(id), text, uint64(back))
		}
	}
}

// Decoded manifests have the fields that later code relies on, and encode to the same bytes.
func FuzzManifest(f *testing.F) {
	f.Add(fields(f, nil))
	f.Add(fields(f, map[string]any{"format": "etcd-rolling-backup/2"}))
	f.Add(fields(f, map[string]any{"created_at": "2026-11-22T00:00:00.5+02:00", "members": nil, "alarms": []string{}}))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decode(text)
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrFormat) {
				t.Fatalf("%v is neither damage nor a later format", err)
			}
			return
		}
		if n, err := snapshot.ParseName(m.Name); err != nil || n.Node != m.Node || m.RawSize <= 32 {
			t.Fatalf("accepted %+v: %v", m, err)
		}
		once, err := snapshot.EncodeTail(m, 7)
		if err != nil {
			// Escapes may make it longer than what a writer puts down.
			if len(text) > snapshot.TailSize/8 {
				return
			}
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, data, err := snapshot.DecodeTail(once, int64(len(once))+7)
		must(t, err)
		twice, err := snapshot.EncodeTail(again, data)
		must(t, err)
		if !bytes.Equal(once, twice) {
			t.Fatalf("written as\n%q, then as\n%q", once, twice)
		}
	})
}
