package rketest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the archives in testdata again")

// Each sample is what its program writes, and a whole snapshot: etcd's digest stands at the end of the database.
func TestSamplesHaveTheFormOfTheirMakers(t *testing.T) {
	if *update {
		makeSamples(t)
	}
	all, err := Samples()
	must(t, err)
	for _, s := range all {
		z, err := zip.NewReader(bytes.NewReader(s.Content), int64(len(s.Content)))
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if ours := s.Make == "etcd-rolling-backup"; (z.Comment != "") != ours {
			t.Errorf("%s: comment of %d bytes", s.Name, len(z.Comment))
		}
		members := map[string][]byte{}
		for _, f := range z.File {
			r, err := f.Open()
			must(t, err)
			members[f.Name], err = io.ReadAll(r)
			if err != nil || f.Method != zip.Deflate || f.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: member %s has method %d, mode %s, %v", s.Name, f.Name, f.Method, f.Mode(), err)
			}
		}
		database := members[s.member]
		if len(database) < sha256.Size {
			t.Fatalf("%s has no member %s: %d members", s.Name, s.member, len(z.File))
		}
		at := len(database) - sha256.Size
		if sum := sha256.Sum256(database[:at]); at%512 != 0 || !bytes.Equal(sum[:], database[at:]) {
			t.Errorf("%s: no digest of etcd's at the end of the database", s.Name)
		}
		state := "/etc/kubernetes/" + strings.TrimSuffix(s.Name, ".zip") + ".rkestate"
		if !bytes.Equal(members[state], s.State) || len(members) != 1 && s.State == nil {
			t.Errorf("%s: state file %q", s.Name, members[state])
		}
	}
}

// makeSamples takes two snapshots of one etcd: with etcdctl for the other makes, and with the program for ours.
func makeSamples(t *testing.T) {
	t.Helper()
	f := newFlow(t, NewCluster(t, 1, Namespaces{}, program(t)), Config{}, nil)
	f.put(t, "a", "b")
	n := f.Nodes[0]
	n.Sh(t, "etcdctl", "etcdctl --endpoints=https://"+n.IP+":2379 --cacert "+CA+" --cert "+Cert+" --key "+Key+" snapshot save /opt/rke/snapshot")
	database, err := os.ReadFile(n.Path("/opt/rke/snapshot"))
	must(t, err)
	f.once(t, "snap1", State("cluster-a"))
	ours, err := os.ReadFile(n.Snapshots("snap1.zip"))
	must(t, err)
	all, err := Samples()
	must(t, err)
	for _, s := range all {
		var text bytes.Buffer
		switch s.Make {
		case "rke-tools":
			must(t, Archive(&text, strings.TrimSuffix(s.Name, ".zip"), database, s.State))
		case "RKE2":
			must(t, ArchiveRKE2(&text, s.member, database))
		default:
			text.Write(ours)
		}
		must(t, os.WriteFile("testdata/"+s.file+".zip", text.Bytes(), 0o644))
	}
	t.Fatal("the samples are new: run the test again, without -update")
}
