package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// row is what list shows of a snapshot as JSON.
type row struct {
	Name     string
	Size     int64
	Places   []string
	Manifest *snapshot.Manifest
	Error    string
}

func rows(t *testing.T, args ...string) []row {
	t.Helper()
	var out struct{ Snapshots []row }
	must(t, json.Unmarshal([]byte(run(t, 0, nil, append(args, "--output=json")...).stdout.String()), &out))
	return out.Snapshots
}

func TestListShowsThePlacesOfEachSnapshot(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 3)
	plant(t, dir, archive, names[:2]...)
	b.plant(archive, names[1:]...)
	b.put("rolling_node-b_20260101T000000Z.db.zst", "no archive")
	mirror := append(b.flags(m.server.Target), "--dir="+dir)
	want := map[string]string{
		names[0]: "local", names[1]: "local+s3", names[2]: "s3", "rolling_node-b_20260101T000000Z.db.zst": "s3",
	}
	table := run(t, 0, []string{"PLACE", "unreadable"}, words("list", mirror)...).stdout.String()
	for name, place := range want {
		if !slices.ContainsFunc(strings.Split(table, "\n"), func(l string) bool {
			f := strings.Fields(l)
			return len(f) > 1 && f[0] == name && f[1] == place
		}) {
			t.Errorf("%s is not shown in %s:\n%s", name, place, table)
		}
	}
	for from, places := range map[string][]string{"all": {"local", "local+s3", "s3"}, "s3": {"s3"}, "local": {"local"}} {
		got := rows(t, words("list", mirror, []string{"--from=" + from})...)
		for _, r := range got {
			place := strings.Join(r.Places, "+")
			if !slices.Contains(places, place) || from == "all" && place != want[r.Name] {
				t.Errorf("--from %s: %s in %s", from, r.Name, place)
			}
			if broken := strings.Contains(r.Name, "node-b"); broken != (r.Manifest == nil) || broken != (r.Error != "") {
				t.Errorf("--from %s: %s: manifest %v, error %q", from, r.Name, r.Manifest, r.Error)
			} else if !broken && (r.Manifest.Revision < 1 || r.Manifest.Node != node) {
				t.Errorf("--from %s: %s: manifest of revision %d, node %s", from, r.Name, r.Manifest.Revision, r.Manifest.Node)
			}
		}
		if n := map[string]int{"all": 4, "s3": 3, "local": 2}[from]; len(got) != n {
			t.Errorf("--from %s shows %d snapshots, want %d", from, len(got), n)
		}
	}
}

// A new machine has no directory yet: what is in the bucket can be looked at, proven and fetched.
func TestBucketIsUsableFromAFreshMachine(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, names := m.bucket(t), rolling(t, node, 2)
	b.plant(archive, names...)
	dir := filepath.Join(t.TempDir(), "not", "there")
	mirror := append(b.flags(m.server.Target), "--dir="+dir)
	run(t, 0, names, words("list", mirror, []string{"--from=s3"})...)
	run(t, 0, []string{names[0] + " is intact"}, words("verify", mirror, []string{"--from=s3", "--min-free=0"})...)
	run(t, 0, []string{names[1] + " is intact"}, words("verify", mirror, []string{"--from=s3", "--min-free=0", names[1]})...)
	run(t, 0, []string{"would remove", names[1]}, words("prune", mirror, []string{"--from=s3", "--node=" + node, "--keep-last=1", "--dry-run"})...)
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("looking made the directory: %v", err)
	}
	run(t, 0, []string{"downloaded " + filepath.Join(dir, names[0]), "verified"}, words("download", mirror, []string{"--min-free=0"})...)
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Join(dir, names[0]), 0o600)
	wantWhole(t, dir, 1)
	run(t, 1, []string{"no such snapshot", "rolling_nobody_"}, words("download", mirror, []string{"--min-free=0", "rolling_nobody_20260101T000000Z.db.zst"})...)
}

func TestDeleteRemovesFromTheBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 4)
	plant(t, dir, archive, names[:3]...)
	b.plant(archive, names[1:]...)
	mirror := append(b.flags(m.server.Target), "--dir="+dir)
	del := func(status int, want []string, args ...string) {
		t.Helper()
		run(t, status, want, words("delete", mirror, args)...)
	}
	del(1, []string{"nothing deleted", names[0]}, "--from=s3", names[0], names[1]) // the first is only here
	del(1, []string{"nothing deleted", names[3]}, names[3])                        // only there
	del(2, []string{"nothing deleted"}, "--from=all", "latest")
	b.has(names[1:]...)
	del(0, []string{"deleted " + names[1] + " from the bucket"}, "--from=s3", names[1])
	b.has(names[2:]...)
	del(0, []string{"deleted " + names[0] + "\n", names[2] + " from the bucket", names[3] + " from the bucket"}, "--from=all", names[0], names[2], names[3])
	b.has()
	if here := listed(t, dir); len(here) != 1 || here[0].Name.String() != names[1] {
		t.Errorf("here is left %v, want %s", here, names[1])
	}
	run(t, 0, []string{"uploaded " + names[1]}, words("mirror", mirror, []string{"--node=" + node})...) // what stays here comes again
}

func TestNoMirrorKeepsASnapshotLocal(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, dir := m.bucket(t), newStore(t)
	mirror := b.flags(m.server.Target)
	save := func(want string, more ...string) string {
		t.Helper()
		p := run(t, 0, []string{want}, words("save", flags(m.etcd, m.etcd.Endpoints()[0]), store(dir), mirror, more)...)
		if slices.Contains(more, "--no-mirror") && strings.Contains(p.stdout.String(), "mirrored") {
			t.Errorf("mirrored against the wish:\n%s", p.stdout.String())
		}
		return filepath.Base(strings.Fields(p.stdout.String())[1])
	}
	save("saved", "--no-mirror", "--label=private")
	b.has()
	pass := words("mirror", mirror, []string{"--dir=" + dir, "--node=" + node})
	run(t, 0, []string{"0 uploaded, 0 waiting"}, pass...)
	b.has()
	public := save("mirrored to s3://", "--label=public")
	run(t, 0, []string{"0 uploaded, 0 waiting"}, pass...)
	b.has(public)
	p, _ := m.follow(t, mirror, []string{"--dir=" + dir})
	p.next(t, "msg=mirrored", "uploaded=1", "waiting=0")
	p.kill()
	if there := b.keys(); slices.ContainsFunc(there, func(k string) bool { return strings.HasPrefix(k, "private_") }) || !slices.Contains(there, public) {
		t.Errorf("the bucket holds %q", there)
	}
}

// A directory that is not there is a slip of the pen; an empty one is a node before its first snapshot, which takes nothing away.
func TestMirrorOfAnEmptyDirectoryRemovesNothing(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	b, names := m.bucket(t), rolling(t, node, 2)
	b.plant(archive, names...)
	mirror := append(b.flags(m.server.Target), "--node="+node)
	missing := filepath.Join(t.TempDir(), "missing")
	run(t, 2, []string{missing, "--dir: use one that exists"}, words("mirror", mirror, []string{"--dir=" + missing})...)
	run(t, 2, []string{"--dir is empty"}, words("mirror", mirror, []string{"--dir="})...)
	run(t, 0, []string{"0 uploaded, 0 waiting, 0 removed"}, words("mirror", mirror, []string{"--dir=" + t.TempDir()})...)
	b.has(names...)
}

// decision is one of prune's.
type decision struct {
	Name, Place string
	Keep        bool
	Reasons     []string
}

// What a dry run says is what happens, also where pruning here changes what counts there.
func TestPruneDoesWhatItsDryRunSaid(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	for name, x := range map[string]struct {
		here, there []int // days ago
		flags       []string
		left        int // in the bucket
	}{
		"same policy":             {[]int{0, 1, 2, 3}, []int{0, 1, 2, 3, 4}, []string{"--keep-last=2"}, 2},
		"own policy":              {[]int{0, 1, 2}, []int{0, 1, 2, 3, 4, 5}, []string{"--keep-last=1", "--s3-keep-last=4"}, 4},
		"only there":              {[]int{0, 1, 2}, []int{0, 1, 2, 3}, []string{"--keep-last=1", "--from=s3"}, 1},
		"not yet there":           {[]int{0, 1, 2, 3, 4}, []int{0, 5, 6, 7}, []string{"--keep-last=2", "--s3-keep-last=4"}, 3},
		"the newest is not there": {[]int{0, 1, 2}, []int{1, 2, 3, 4}, []string{"--keep-last=1"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 8)
			pick := func(days []int) (out []string) {
				for _, d := range days {
					out = append(out, names[d])
				}
				return out
			}
			plant(t, dir, archive, pick(x.here)...)
			b.plant(archive, pick(x.there)...)
			prune := words("prune", b.flags(m.server.Target), []string{"--dir=" + dir, "--node=" + node, "--output=json"}, x.flags)
			var said, did []decision
			must(t, json.Unmarshal([]byte(run(t, 0, nil, append(prune, "--dry-run")...).stdout.String()), &said))
			b.has(pick(x.there)...)
			if n := len(listed(t, dir)); n != len(x.here) {
				t.Errorf("the dry run left %d here", n)
			}
			must(t, json.Unmarshal([]byte(run(t, 0, nil, prune...).stdout.String()), &did))
			if !slices.EqualFunc(said, did, func(a, b decision) bool {
				return a.Name == b.Name && a.Place == b.Place && a.Keep == b.Keep && slices.Equal(a.Reasons, b.Reasons)
			}) {
				t.Errorf("the dry run said\n%v\nand the run did\n%v", said, did)
			}
			left := b.keys()
			for _, d := range did {
				at := map[string][]string{"local": files(t, dir), "s3": left}[d.Place]
				if slices.Contains(at, d.Name) != d.Keep {
					t.Errorf("%+v is not what is left: %q", d, at)
				}
			}
			if len(left) != x.left {
				t.Errorf("%d are left in the bucket, want %d: %q", len(left), x.left, left)
			}
		})
	}
}

// check has a line for each right, and names the one that is missing.
func TestCheckNamesTheMissingPermission(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	rights := []string{"s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"}
	for _, missing := range append(rights, "") {
		policy := s3test.MinimalPolicy(b.name, "")
		if missing != "" {
			policy = strings.ReplaceAll(policy, `"`+missing+`"`, `"`+map[bool]string{true: "s3:GetBucketTagging", false: "s3:GetObjectTagging"}[missing == "s3:ListBucket"]+`"`)
		}
		must(t, m.server.AddUser(t.Context(), "prober", "prober-secret", policy))
		args := words("check", flags(m.etcd, m.etcd.Endpoints()[0]), store(newStore(t)), b.flags(m.server.As("prober", "prober-secret")))
		if missing == "" {
			run(t, 0, append(rights, "clock"), args...)
			continue
		}
		p := run(t, 1, []string{"check failed: " + missing + "\n", "allow " + missing}, args...)
		for line := range strings.Lines(p.stdout.String()) {
			if f := strings.Fields(line); f[0] == "fail" && f[1] != missing || f[0] == "ok" && f[1] == missing {
				t.Errorf("without %s: %s", missing, line)
			}
		}
		if missing != "s3:DeleteObject" {
			b.has()
		}
	}
}
