package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// recent are names of snapshots of a node, one an hour, the newest of which is that old.
func recent(t *testing.T, node string, newest time.Duration, n int) (out []string) {
	t.Helper()
	for i := range n {
		name, err := snapshot.NewName(snapshot.RollingSet, node, time.Now().Add(-newest-time.Duration(i)*time.Hour))
		must(t, err)
		out = append(out, name.String())
	}
	return out
}

// On a node, list shows what this node has in the bucket, and reads no other manifests. On a new host, it shows those of the lost nodes.
func TestListFromS3ShowsOneNodeAndOnANewHostAll(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, faults := m.bucket(t), s3test.RunHTTPFaults(t, m.server.Target)
	mine, theirs := rolling(t, node, 3), rolling(t, "node-b", 3)
	b.plant(archive, slices.Concat(mine, theirs)...)
	flags := append(b.flags(faults.Target), "--from=s3")
	shows := func(want []string, notice string, more ...string) {
		t.Helper()
		before := len(faults.Requests())
		p := run(t, 0, nil, words("list", flags, more, []string{"--output=json"})...)
		var out struct{ Snapshots []row }
		must(t, json.Unmarshal([]byte(p.stdout.String()), &out))
		var got []string
		for _, r := range out.Snapshots {
			got = append(got, r.Name)
		}
		slices.Sort(got)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("%q: shown %q, want %q", more, got, want)
		}
		if said := p.stderr.String(); notice == "" && said != "" || !strings.Contains(said, notice) {
			t.Errorf("%q: said %q, want %q", more, said, notice)
		}
		ends := 0
		for _, r := range faults.Requests()[before:] {
			if strings.HasSuffix(r.Path, ".zst") {
				ends++
			}
		}
		if ends != len(want) {
			t.Errorf("%q: %d manifests were read for %d rows", more, ends, len(want))
		}
	}
	also := "s3://" + b.name + " also has snapshots of other nodes: --all-nodes shows them"
	shows(mine, also, "--node="+node)
	shows(slices.Concat(mine, theirs), "", "--all-nodes")
	shows(slices.Concat(mine, theirs), "but 6 snapshots of nodes node-a, node-b: showing all; --node NAME shows those of one node")
	shows(nil, "s3://"+b.name+" has no snapshots of node nobody, but 6 snapshots of nodes node-a, node-b: --node NAME shows those of one node", "--node=nobody")

	// The directory of this node also has some of a lost one: the bucket's are this node's business as well.
	b.plant(archive, rolling(t, "node-c", 1)...)
	dir := newStore(t)
	plant(t, dir, archive, mine[0], theirs[0])
	settings := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(settings, []byte("node: "+node+"\n"), 0o600))
	if got := rows(t, words("list", b.flags(faults.Target), []string{"--dir=" + dir, "--config=" + settings})...); len(got) != 6 || got[0].Name != mine[0] || got[1].Name != theirs[0] || len(got[1].Places) != 2 {
		t.Errorf("%+v", got)
	}
	if got := rows(t, words("list", b.flags(faults.Target), []string{"--dir=" + dir, "--node=node-b"})...); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	if got := rows(t, "list", "--dir="+dir, "--node=node-b"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// From a laptop, fleet shows who is late: with status 1, with status 3 if the newest snapshot is damaged, and in words that no key can spoil.
func TestFleetReportsLateAndDamagedNodes(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive, b := m.save(t), m.bucket(t)
	put := func(folder string, names []string) {
		for _, n := range names {
			b.plant(archive, folder+"/"+n)
		}
	}
	put("cluster-a", recent(t, "n1", time.Minute, 5))
	put("cluster-a", recent(t, "n2", time.Minute, 5))
	put("cluster-b", recent(t, "n1", time.Minute, 2))
	b.put("cluster-a/\u202etxt.exe", "x")
	b.put("cluster-a/from-rancher.zip", "x")
	args := b.flags(m.server.Target)
	run(t, 0, []string{"STATE", "ok", "unknown", "3 nodes of 2 clusters: 1 unknown, 2 ok; 12 snapshots, ", "not judged: 1 snapshot of other programs, 1 other file"}, words("fleet", args)...)
	put("cluster-\u202eb", recent(t, "n1", 4*time.Hour, 5))
	p := run(t, 1, []string{"1 of 4 nodes with problems: 1 late", "older than 2h5m"}, words("fleet", args)...)
	if lines := strings.Split(p.stdout.String(), "\n"); !strings.HasPrefix(lines[1], `late      cluster-\u202eb`) || strings.Contains(p.stdout.String(), "\u202e") {
		t.Errorf("%s", p.stdout.String())
	}
	run(t, 0, nil, words("fleet", args, []string{"--max-age=26h", "--verify"})...)
	b.put("cluster-b/"+recent(t, "n1", 0, 1)[0], "no archive")
	run(t, 3, []string{"2 of 4 nodes with problems: 1 damaged, 1 late", "damaged"}, words("fleet", args)...)
	var out struct {
		Nodes []struct {
			State, Folder, Node string
			Keys                int
		}
		States map[string]int
	}
	must(t, json.Unmarshal([]byte(run(t, 3, nil, words("fleet", args, []string{"--output=json"})...).stdout.String()), &out))
	if len(out.Nodes) != 4 || out.Nodes[0].State != "damaged" || out.States["ok"] != 2 || out.Nodes[3].Keys != 1 {
		t.Errorf("%+v", out)
	}
	run(t, 1, []string{"s3://" + b.name + "/nowhere has no snapshots of this program: is --s3-folder right?"}, words("fleet", args, []string{"--s3-folder=nowhere"})...)
	run(t, 2, []string{"--max-age"}, words("fleet", args, []string{"--max-age=-1h"})...)
	run(t, 2, []string{"--s3-bucket is empty"}, "fleet")
	must(t, m.server.AddUser(t.Context(), "cluster-a-only", "cluster-a-only-secret", s3test.MinimalPolicy(b.name, "cluster-a/")))
	narrow := b.flags(m.server.As("cluster-a-only", "cluster-a-only-secret"))
	if p := run(t, 1, []string{"allow s3:ListBucket"}, words("fleet", narrow)...); strings.Count(p.stderr.String(), "\n") != 1 {
		t.Errorf("%s", p.stderr.String())
	}
	run(t, 0, []string{"2 nodes of 1 cluster: 2 ok"}, words("fleet", narrow, []string{"--s3-folder=cluster-a"})...)
}
