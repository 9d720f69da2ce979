package snapshot_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// goldenName is an archive that version 0.1.0 took from an etcd 3.6.16. Every later version must read it. The file is never
// created again; a later format gets its own file.
const goldenName = "manual_node-a.example_20261122T004417Z.db.zst"

// goldenDatabase is, except for the resources, the output of "etcdutl snapshot status" of etcd 3.6 for it.
var goldenDatabase = snapshot.Database{Hash: 0xfaf1c106, Revision: 12, Keys: 8, Size: 20480, Resources: map[string]int64{"/registry/configmaps": 7, "/registry/leases": 1}}

const goldenManifest = `{
  "format": "etcd-rolling-backup/1",
  "name": "manual_node-a.example_20261122T004417Z.db.zst",
  "created_at": "2026-11-22T00:44:17Z",
  "node": "node-a.example",
  "cluster_id": "48276a8f75b6a87",
  "member_id": "2e1259d415f2a040",
  "members": [
    {
      "id": "2e1259d415f2a040",
      "name": "node-a",
      "peer_urls": [
        "http://127.0.0.1:23800"
      ],
      "client_urls": [
        "http://127.0.0.1:23790"
      ]
    }
  ],
  "revision": 12,
  "raft_term": 2,
  "raft_index": 17,
  "etcd_version": "3.6.16",
  "storage_version": "3.6.0",
  "healthy": true,
  "raw_size": 20512,
  "raw_sha256": "7b1630ae49c62ee4768f0cc94547449431ff43467ee5cbc866d30f110e3e9ee6",
  "archive_sha256": "7c52fcbf3a22ade249645a11c5d83ff1ff2de5a89ecb6f9109457dc0b86c93e9",
  "tool_version": "0.1.0"
}`

func golden(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", goldenName))
	must(t, err)
	return b
}

func TestGoldenArchive(t *testing.T) {
	b := golden(t)
	r, err := newBench(t).verify(t.Context(), b)
	must(t, err)
	if !reflect.DeepEqual(r.Database, goldenDatabase) || r.Size != int64(len(b)) {
		t.Errorf("holds %+v in %d bytes, want %+v in %d", r.Database, r.Size, goldenDatabase, len(b))
	}
	text, err := json.MarshalIndent(r.Manifest, "", "  ")
	must(t, err)
	if string(text) != goldenManifest {
		t.Errorf("its manifest is\n%s\nwant\n%s", text, goldenManifest)
	}
	// Take's encoder wrote it; today's output may differ only in the zstd data.
	raw, err := unpack(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	again, err := newBench(t).verify(t.Context(), archive(t, raw, r.Manifest))
	must(t, err)
	if !reflect.DeepEqual(again.Database, r.Database) || again.Manifest.RawSHA256 != r.Manifest.RawSHA256 {
		t.Errorf("written anew it holds %+v", again)
	}
}
