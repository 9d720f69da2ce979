package snapshot_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Whatever etcd reports, the snapshot is taken, and its manifest says what it lacks.
func TestManifestLeavesOutWhatDoesNotFit(t *testing.T) {
	huge := strings.Repeat("x", 70_000)
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("ALARM%d", i)
	}
	for what, c := range map[string]struct {
		report  func(*snapshot.Manifest)
		omitted []string
	}{
		"usual":         {func(*snapshot.Manifest) {}, nil},
		"member's name": {func(m *snapshot.Manifest) { m.Members[0].Name = huge }, []string{"members"}},
		"many members": {func(m *snapshot.Manifest) {
			m.Members = slices.Repeat([]snapshot.Member{{ID: 1, Name: "n", PeerURLs: []string{"http://" + huge[:100]}}}, 1000)
		}, []string{"members"}},
		"bytes that grow": {func(m *snapshot.Manifest) { m.Members[0].Name = strings.Repeat("\x00", 12_000) }, []string{"members"}},
		"alarms":          {func(m *snapshot.Manifest) { m.Alarms = append(many, "CORRUPT") }, []string{"members", "alarms"}},
		"version":         {func(m *snapshot.Manifest) { m.EtcdVersion = huge }, []string{"members", "alarms", "etcd_version"}},
		"everything": {func(m *snapshot.Manifest) {
			m.EtcdVersion, m.StorageVersion, m.Alarms, m.Members[0].Name = huge, huge, many, huge
			m.Predecessors = make([]snapshot.ID, 40_000)
		}, []string{"members", "alarms", "etcd_version", "storage_version", "predecessors"}},
	} {
		m := manifestA(1)
		m.Members = slices.Clone(m.Members)
		c.report(&m)
		var out bytes.Buffer
		w, err := snapshot.NewWriter(&out)
		must(t, err)
		_, err = w.Write(withDigest(make([]byte, 512)))
		must(t, err)
		written, err := w.Finish(m)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		a, err := snapshot.OpenArchive(bytes.NewReader(out.Bytes()), int64(out.Len()))
		must(t, err)
		if got := a.Manifest; !slices.Equal(got.Omitted, c.omitted) || !slices.Equal(written.Omitted, c.omitted) ||
			slices.Contains(c.omitted, "members") != (len(got.Members) == 0) || got.ClusterID != m.ClusterID || got.Revision != m.Revision {
			t.Errorf("%s: omitted is %q, %d members, want %q", what, got.Omitted, len(got.Members), c.omitted)
		}
		if slices.Contains(m.Alarms, "CORRUPT") != slices.Contains(a.Manifest.Alarms, "CORRUPT") {
			t.Errorf("%s: the alarms are %q: retention needs CORRUPT", what, a.Manifest.Alarms)
		}
	}
}
