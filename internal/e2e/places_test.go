package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// Latest is the newest in either place, of which the local one is preferred, and whoever restores hears what was chosen and why.
func TestLatestIsTheNewestOfDiskAndBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive, names := m.save(t), rolling(t, node, 3)
	for name, x := range map[string]struct {
		disk, bucket []string
		s3           bool   // it is taken from there
		notice       string // PLACE of the newer one
	}{
		"newer in the bucket": {names[1:], names[:1], true, "s3"},
		"newer on the disk":   {names[:1], names[1:], false, "disk"},
		"the same in both":    {names[:2], names[:2], false, ""},
		"the disk has more":   {names, names[:1], false, ""},
		"only in the bucket":  {nil, names[:1], true, "only"},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := m.bucket(t), newStore(t)
			plant(t, dir, archive, x.disk...)
			folder := "/cluster-3/"
			for _, n := range x.bucket {
				b.plant(archive, "cluster-3/"+n)
			}
			flags := append(b.flags(m.server.Target), "--dir="+dir, "--s3-folder="+folder)
			place := "s3://" + b.name + "/cluster-3"
			want := []string{"restoring " + filepath.Join(dir, names[0]) + " from " + dir}
			if x.s3 {
				want = []string{"restoring " + names[0] + " from " + place}
			}
			switch x.notice {
			case "s3":
				want = append(want, place+" has a newer snapshot, "+names[0]+" (", " old), than "+dir+", whose newest is "+names[1]+" (")
			case "disk":
				want = append(want, dir+" has a newer snapshot, "+names[0]+" (", " old), than "+place+", whose newest is "+names[1]+" (")
			case "only":
				want = append(want, dir+" has no such snapshot: using "+place)
			}
			for _, ref := range []string{"latest", "rolling"} {
				p := run(t, 0, want, words("restore", flags, []string{"--data-dir=" + target(t), "--dry-run", "--kubernetes", ref})...)
				said := regexp.MustCompile(`(?m)^warning: the only member of the cluster runs.*\n`).ReplaceAllString(p.stderr.String(), "")
				if x.notice == "" && said != "" {
					t.Errorf("the same is in both places, and yet: %s", said)
				}
			}
			run(t, 0, []string{names[0] + " is intact"}, words("verify", flags, []string{"--min-free=0"})...)
			if len(x.disk) > 0 { // if a place is named, only that one counts
				run(t, 0, []string{x.disk[0] + " is intact"}, words("verify", flags, []string{"--min-free=0", "--from=local"})...)
			}
			run(t, 0, []string{x.bucket[0] + " is intact"}, words("verify", flags, []string{"--min-free=0", "--from=s3"})...)
		})
	}
}

// S3 that is down, in every way, costs a restore one line and a moment, and what the disk has is listed all the same.
func TestDiskIsUsableWhileS3IsDown(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 2)
	plant(t, dir, m.save(t), names...)
	proxy := s3test.RunProxy(t, m.server.Target)
	flags := append(b.flags(proxy.Target), "--dir="+dir, "--s3-folder=cluster-3", "--s3-timeout=1s")
	for name, fault := range map[string]func() error{"refused": proxy.Down, "silent": proxy.Blackhole} {
		t.Run(name, func(t *testing.T) {
			must(t, proxy.Up())
			must(t, fault())
			warning := "warning: only " + dir + " is searched, and s3://" + b.name + "/cluster-3 may have newer snapshots: "
			run(t, 0, []string{warning, "restoring " + filepath.Join(dir, names[0])}, words("restore", flags, []string{"--data-dir=" + target(t), "--dry-run"})...)
			run(t, 0, []string{warning, names[0] + " is intact"}, words("verify", flags, []string{"--min-free=0"})...)
			p := run(t, 0, []string{names[1] + " is intact"}, words("verify", flags, []string{"--min-free=0", names[1]})...)
			if strings.Contains(p.stderr.String(), "warning") {
				t.Errorf("a full name is no question for S3: %s", p.stderr.String())
			}
			missing := "the list is incomplete, it lacks what is in s3://" + b.name + "/cluster-3: "
			run(t, 1, append([]string{missing}, names...), words("list", flags)...)
			var out struct {
				Snapshots []row
				Missing   []struct{ Place, Where, Error string }
			}
			must(t, json.Unmarshal([]byte(run(t, 1, []string{missing}, words("list", flags, []string{"--output=json"})...).stdout.String()), &out))
			if len(out.Snapshots) != 2 || len(out.Missing) != 1 || out.Missing[0].Place != "s3" || out.Missing[0].Error == "" {
				t.Errorf("got %+v", out)
			}
			if p := run(t, 1, nil, words("list", flags, []string{"--from=s3"})...); p.stdout.String() != "" {
				t.Errorf("nothing is known, and yet: %s", p.stdout.String())
			}
			run(t, 1, []string{"nothing deleted: "}, words("delete", flags, []string{"--from=all", names[0]})...)
			if n := len(listed(t, dir)); n != 2 {
				t.Errorf("%d snapshots are left", n)
			}
		})
	}
}

// A newer snapshot that the keys may see and not read is no reason to take an older one unasked, nor for a dead end.
func TestNewerSnapshotThatCannotBeFetchedNamesTheLocalOne(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, dir, names, archive := m.bucket(t), newStore(t), rolling(t, node, 2), m.save(t)
	plant(t, dir, archive, names[1])
	b.plant(archive, names[0])
	must(t, m.server.AddUser(t.Context(), "lister", "lister-secret", strings.ReplaceAll(s3test.MinimalPolicy(b.name, ""), `"s3:GetObject"`, `"s3:GetObjectTagging"`)))
	flags := append(b.flags(m.server.As("lister", "lister-secret")), "--dir="+dir)
	restore := func(status int, want []string, more ...string) {
		t.Helper()
		run(t, status, want, words("restore", flags, more, []string{"--data-dir=" + target(t), "--dry-run"})...)
	}
	restore(1, []string{"allow s3:GetObject", "; " + dir + " has " + names[1] + " (", "): --from local uses it"})
	restore(0, []string{"restoring " + filepath.Join(dir, names[1])}, "--from=local")
}

// The other way round: a directory that cannot be read hides nothing of the bucket.
func TestBucketIsUsableWhileTheDiskIsNot(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, names := m.bucket(t), rolling(t, node, 1)
	b.plant(m.save(t), names...)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	flags := append(b.flags(m.server.Target), "--dir="+file)
	run(t, 1, append(names, "the list is incomplete, it lacks what is in "+file+": unusable directory"), words("list", flags)...)
	run(t, 0, []string{"warning: only s3://" + b.name + " is searched, and " + file + " may have newer snapshots: ", "restoring " + names[0] + " from s3://"},
		words("restore", flags, []string{"--data-dir=" + target(t), "--dry-run"})...)
}

// A machine that has no snapshot directory lacks nothing.
func TestFreshMachineListsTheBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, names := m.bucket(t), rolling(t, node, 1)
	b.plant(m.save(t), names...)
	absent := filepath.Join(t.TempDir(), "absent")
	flags := append(b.flags(m.server.Target), "--dir="+absent)
	run(t, 0, append(names, "there are no snapshots on this machine: "+absent+" does not exist"), words("list", flags)...)
	run(t, 1, []string{absent + ": no such file or directory"}, words("list", flags, []string{"--from=all"})...)
}

// A folder without snapshots is most often the wrong one: the folders that exist are named, if the keys may list them.
func TestWrongFolderIsNamedAsSuch(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, dir, names := m.bucket(t), newStore(t), rolling(t, node, 1)
	archive := m.save(t)
	must(t, os.MkdirAll(dir, 0o700))
	b.plant(archive, "prod/cluster-1/"+names[0], "prod/cluster-2/"+names[0], "test/"+names[0], names[0])
	for folder, want := range map[string]string{
		"cluster-1": "prod, test", "prod/cluster-3": "prod/cluster-1, prod/cluster-2", "prod": "prod/cluster-1, prod/cluster-2",
		"/Test/": "the top of the bucket, without --s3-folder, prod, test", "stage/cluster-1": "prod, test",
	} {
		t.Run(folder, func(t *testing.T) {
			flags := append(b.flags(m.server.Target), "--dir="+dir, "--s3-folder="+folder)
			text := "s3://" + b.name + "/" + strings.Trim(folder, "/") + " has no snapshots: is --s3-folder right? There are: "
			for status, args := range map[int][][]string{
				0: {{"list"}, {"list", "--from=s3"}},
				1: {{"verify"}, {"verify", "--from=s3"}, {"restore", "--from=s3", "--data-dir=" + target(t)}, {"download"}},
			} {
				for _, a := range args {
					p := run(t, status, []string{text}, words(a[0], a[1:], flags)...)
					if said := p.stderr.String(); !strings.Contains(said, want) {
						t.Errorf("%s: %q is not in %s", a, want, said)
					}
				}
			}
		})
	}
	// Keys that may list only their own folder get no list of others, and no error either.
	must(t, m.server.AddUser(t.Context(), "narrow", "narrow-secret", s3test.MinimalPolicy(b.name, "cluster-9")))
	flags := append(b.flags(m.server.As("narrow", "narrow-secret")), "--dir="+dir, "--s3-folder=cluster-9")
	p := run(t, 0, []string{"s3://" + b.name + "/cluster-9 has no snapshots: is --s3-folder right? Were they deleted? --s3-versions finds what a versioned bucket still has\n"}, words("list", flags)...)
	if strings.Contains(p.stderr.String(), "prod") {
		t.Errorf("got %s", p.stderr.String())
	}
}

// Without a full name no command chooses between clusters, on the disk or in the bucket or in both together.
func TestNoCommandChoosesBetweenClusters(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	a := m.save(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	other := saved(t, c)
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	names := rolling(t, node, 4)
	mixed, one, both, empty := newStore(t), newStore(t), m.bucket(t), m.bucket(t)
	plant(t, mixed, a, names[1], names[2])
	plant(t, mixed, other, names[0])
	plant(t, one, a, names[1])
	both.plant(a, names[1], names[3])
	both.plant(other, names[2])
	single := m.bucket(t)
	single.plant(other, names[2])
	for name, x := range map[string]struct {
		dir    string
		bucket *bucket
		only   []string // commands
	}{
		"in the directory":             {mixed, empty, []string{"restore", "verify", "serve"}},
		"in the bucket":                {one, both, []string{"restore", "verify", "serve", "download"}},
		"one here and the other there": {one, single, []string{"restore", "verify", "serve"}},
	} {
		t.Run(name, func(t *testing.T) {
			flags := append(x.bucket.flags(m.server.Target), "--dir="+x.dir)
			arguments := map[string][]string{
				"restore": {"--data-dir=" + target(t)}, "verify": {"--min-free=0"}, "download": {"--min-free=0", "--to=" + t.TempDir()},
				"serve": append(certificates(pki, pki.Server), "--serve-on=127.0.0.1:0"),
			}
			for _, command := range x.only {
				status := 2
				if command == "verify" { // it only looks
					status = 0
				}
				p := run(t, status, []string{"of 2 clusters, and \"latest\" may mean any of them: give the full name"}, words(command, flags, arguments[command])...)
				ids := []string{clusterOf(t, a), clusterOf(t, other)}
				for _, id := range ids {
					if !strings.Contains(p.stderr.String(), "cluster "+id+", newest rolling_"+node+"_") {
						t.Errorf("%s: cluster %s is not named: %s", command, id, p.stderr.String())
					}
				}
			}
			if slices.Contains(x.only, "restore") {
				run(t, 0, []string{"would be restored"}, words("restore", flags, []string{names[2], "--data-dir=" + target(t), "--dry-run"})...)
			}
		})
	}
}

// clusterOf is the cluster that an archive says it is of.
func clusterOf(t *testing.T, archive string) string {
	t.Helper()
	dir := newStore(t)
	plant(t, dir, archive, rolling(t, node, 1)...)
	r := rows(t, "list", "--dir="+dir)
	return r[0].Manifest.ClusterID.String()
}

// A restored cluster has a new ID, and still continues the old one: nothing is to be chosen. The old one living on is another matter.
func TestRestoredClusterContinuesItsPredecessor(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	dir, data := newStore(t), target(t)
	save := func(endpoint, label string, age time.Duration) {
		t.Helper()
		run(t, 0, nil, words("save", []string{"--endpoints=" + endpoint, "--name=" + label}, store(dir))...)
		for _, e := range listed(t, dir) {
			if e.Name.Set == label {
				redate(t, dir, e.Name, time.Now().Add(-age))
			}
		}
	}
	latest := func(status int, want ...string) {
		t.Helper()
		run(t, status, want, "restore", "--dir="+dir, "--data-dir="+target(t), "--dry-run")
	}
	save(c.Members[0].Endpoint, "before", 3*time.Hour)
	must(t, c.Members[0].Stop())
	run(t, 0, nil, "restore", "--dir="+dir, "--data-dir="+data)
	r := reviveAlone(t, etcdtest.Default, "node1", data)
	stateOf(t, r.client) // it answers
	save(r.client.Endpoints()[0], "after", 2*time.Hour)
	latest(0, "after_"+node+"_")
	r.kill()
	must(t, c.Members[0].Restart(t.Context()))
	save(c.Members[0].Endpoint, "alive", time.Hour)
	latest(2, "has snapshots of 2 clusters", "newest alive_", "newest after_", "which went on: was that restore undone?")

	// A command for each is printed, and the one for the cluster of the data there says so.
	must(t, c.Members[0].Stop())
	refused := run(t, 2, nil, "restore", "--dir="+dir, "--data-dir="+c.Members[0].DataDir, "--replace", "--dry-run")
	offered := map[string]string{}
	for line := range strings.Lines(refused.stderr.String()) {
		if before, command, ok := strings.Cut(line, "): etcd-rolling-backup "); ok {
			offered[before] = strings.TrimSpace(command)
		}
	}
	if len(offered) != 2 {
		t.Errorf("offered %q in %s", offered, refused.stderr.String())
	}
	for before, command := range offered {
		own := strings.Contains(command, "alive_")
		if strings.Contains(before, ", which the data in --data-dir is of (") != own || strings.Contains(before, ", restored from ") == own {
			t.Errorf("%s: %s", before, command)
		}
		run(t, 0, []string{"would be restored"}, strings.Fields(command)...)
	}
}
