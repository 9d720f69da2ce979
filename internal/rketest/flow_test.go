package rketest

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

func TestWholeFlowOfThreeNodes(t *testing.T) {
	c := NewCluster(t, 3, Namespaces{StopSignal: syscall.SIGQUIT}, program(t))
	config := Config{Backup: &Backup{IntervalHours: 12, Retention: 6, S3: &S3{Region: s3test.Region, Folder: "cluster-a"}}}
	newFlow(t, c, config, s3test.Run(t, s3test.Options{TLS: true})).play(t, "rke_etcd_snapshot_2026-11-28T10:00:00+02:00")
}

// The calls differ with the configuration: each of its forms on one node.
func TestNineCallsWithEachConfiguration(t *testing.T) {
	server := s3test.Run(t, s3test.Options{TLS: true})
	ours := program(t)
	for name, config := range map[string]Config{
		"no backup config":         {},
		"on the disk":              {Backup: &Backup{IntervalHours: 12, Retention: 6}},
		"S3, no folder, no region": {Backup: &Backup{IntervalHours: 12, Retention: 6, S3: &S3{}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCluster(t, 1, Namespaces{StopSignal: syscall.SIGTERM}, ours)
			newFlow(t, c, config, server).play(t, "snap1")
		})
	}
}

// An archive of any make is what a node serves and restores.
func TestSamplesOfEachMakeAreRestored(t *testing.T) {
	all, err := Samples()
	must(t, err)
	c := NewCluster(t, 1, Namespaces{StopSignal: syscall.SIGTERM}, program(t))
	f := &flow{Cluster: c}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			must(t, os.WriteFile(c.Nodes[0].Snapshots(s.Name), s.Content, 0o600))
			name := strings.TrimSuffix(s.Name, ".zip")
			if s.State != nil {
				f.extracts(t, name, s.State)
			}
			f.serves(t, name).Stop(t)
			f.restore(t, name)
			f.StopEtcd(t)
		})
	}
}
