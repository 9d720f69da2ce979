package rketest

import (
	"embed"
	"fmt"
)

// The names of the files are not those of the snapshots, because not every system has a colon in its file names.
//
//go:embed testdata/*.zip
var samples embed.FS

// Sample is a small archive of a real etcd's snapshot, with two keys below /registry/. `go test ./internal/rketest -run Samples -update`
// writes them again.
type Sample struct {
	Make    string // the program whose form it has
	Name    string // the file's name where that program puts it
	Content []byte
	State   []byte // the state file in it; nil if there is none

	file, member string
}

// Samples are the archives that the programs write which a cluster of RKE may have met: two forms of names of rke-tools itself, one that
// Rancher has chosen, one of RKE2 and k3s, and one of ours, in the place of rke-tools.
func Samples() ([]Sample, error) {
	all := []Sample{
		{Make: "rke-tools", Name: "2026-11-28T10:00:00Z_etcd.zip", file: "rolling", member: "/backup/2026-11-28T10:00:00Z_etcd"},
		{
			Make: "rke-tools", Name: "rke_etcd_snapshot_2026-11-28T10:00:00+02:00.zip", State: State("cluster-a"),
			file: "once", member: "/backup/rke_etcd_snapshot_2026-11-28T10:00:00+02:00",
		},
		{
			Make: "rke-tools", Name: "c-x7k2p-rl-9d4zq_2026-11-28T10:00:00Z.zip", State: State("cluster-a"),
			file: "rancher", member: "/backup/c-x7k2p-rl-9d4zq_2026-11-28T10:00:00Z",
		},
		{Make: "RKE2", Name: "etcd-snapshot-node-a-1795860000.zip", file: "rke2", member: "etcd-snapshot-node-a-1795860000"},
		{Make: "etcd-rolling-backup", Name: "snap1.zip", State: State("cluster-a"), file: "ours", member: "/backup/snap1"},
	}
	for i := range all {
		var err error
		if all[i].Content, err = samples.ReadFile("testdata/" + all[i].file + ".zip"); err != nil {
			return nil, fmt.Errorf("read sample %s: %w", all[i].Name, err)
		}
	}
	return all, nil
}
