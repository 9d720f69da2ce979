package e2e_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// list shows zips of every make alike on the disk and in the bucket: form, age, sizes and the state file.
func TestListDescribesZipsOnDiskAndInTheBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newZipBed(t).fill()
	b.put("photos.zip", b.theirs("photo", zip.Deflate, false)[:0])
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	member(t, w, "photo.jpg", zip.Store, []byte("no database"))
	must(t, w.Close())
	b.put("photos.zip", out.Bytes())
	bucket := m.bucket(t)
	for _, name := range files(t, b.dir) {
		bucket.plant(filepath.Join(b.dir, name), name)
	}
	remote := append(bucket.flags(m.server.Target), "--from=s3")
	for place, where := range map[string][]string{"local": {"--dir=" + b.dir}, "s3": remote} {
		p := run(t, 0, nil, words("list", where)...)
		text := p.stdout.String()
		for name, form := range map[string]string{
			rollingZip: "zip . state file", ourZip: "zip . state file", rancherZip: "zip . state file", k3sZip: "zip", namedZip: "zip . state file",
		} {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` +` + place + ` +\d+\S* +\S+ \S*B +\d\S* KiB .* ` + form + `  +\S+$`).MatchString(text) {
				t.Errorf("%s: no line for %s as %s in\n%s", place, name, form, text)
			}
		}
		if !regexp.MustCompile(`(?m)^photos.zip .*has no snapshot$`).MatchString(text) || strings.Contains(text, "run verify") {
			t.Errorf("%s:\n%s", place, text)
		}
		var found listing
		must(t, json.Unmarshal([]byte(run(t, 0, nil, words("list", where, []string{"--output=json"})...).stdout.String()), &found))
		for _, s := range found.Snapshots {
			healthy := s.Name != "photos.zip"
			if healthy != (s.Error == "") || healthy && (s.Form != "zip" || s.RawSize != int64(len(b.raw)) || s.StateFile == (s.Name == k3sZip)) {
				t.Errorf("%s: %+v", place, s)
			}
		}
		if len(found.Snapshots) != 6 || found.Snapshots[2].Name != k3sZip { // two have the time of their files
			t.Errorf("%s: %+v", place, found)
		}
	}
}

type listing struct {
	Snapshots []struct {
		Name, Error, Form string
		RawSize           int64 `json:"raw_size"`
		StateFile         bool  `json:"state_file"`
	}
}

// Zips are found by their names, with .zip and without, and by path, on the disk and in the bucket. A zip whose name says no time is never
// the latest.
func TestVerifyFindsZipsByEveryReference(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newZipBed(t).fill()
	bucket := m.bucket(t)
	for _, name := range files(t, b.dir) {
		bucket.plant(filepath.Join(b.dir, name), name)
	}
	remote := words("--from=s3", bucket.flags(m.server.Target), []string{"--min-free=0"})
	for _, name := range []string{rollingZip, ourZip, rancherZip, k3sZip, namedZip} {
		short := strings.TrimSuffix(name, ".zip")
		run(t, 0, []string{filepath.Join(b.dir, name) + " is intact"}, "verify", "--dir="+b.dir, "--min-free=0", name)
		run(t, 0, []string{filepath.Join(b.dir, name) + " is intact"}, "verify", "--dir="+b.dir, "--min-free=0", short)
		run(t, 0, []string{"is intact"}, "verify", "--min-free=0", filepath.Join(b.dir, name))
		run(t, 0, []string{name + " is intact"}, words("verify", remote, []string{short})...)
	}
	run(t, 0, []string{k3sZip + " is intact", "restored as a test"}, "verify", "--restore", "--dir="+b.dir, "--min-free=0")
	run(t, 0, []string{k3sZip + " is intact", "restored as a test"}, words("verify", remote, []string{"--restore"})...)
	plant(t, b.dir, b.archive, rolling(t, node, 1)[0]) // of 2026-01-28
	run(t, 0, []string{rolling(t, node, 1)[0] + " is intact"}, "verify", "--dir="+b.dir, "--min-free=0")
	run(t, 0, []string{rollingZip + " is intact"}, "verify", "--dir="+b.dir, "--min-free=0", strings.TrimSuffix(rollingZip, ".zip"))
}

// That a zip does not say its cluster is a warning, and no reason to refuse. Two clusters among the other snapshots are one.
func TestRestoreOfTheLatestZipWarnsThatItsClusterIsUnknown(t *testing.T) {
	parallel(t)
	b := newZipBed(t)
	b.dir = newStore(t)
	b.put(k3sZip, b.theirs("snap", zip.Deflate, false))
	b.put(ourZip, b.ours(ourZip))
	restore := []string{"restore", "--dry-run", "--dir=" + b.dir, "--data-dir=" + target(t)}
	run(t, 0, []string{"warning: " + k3sZip + " does not say of which cluster it is", "a zip with \"snap\" in it, taken 2026-01-13"}, restore...)
	other := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	plant(t, b.dir, saved(t, other), rolling(t, node, 30)[29]) // older
	run(t, 2, []string{"snapshots of 2 clusters"}, restore...)
	run(t, 0, nil, append(restore, k3sZip)...)
}

// verify finds every fault of a zip, list those that it sees without reading all of it, and restore goes on if the database is intact.
func TestFaultyZipsAreListedVerifiedAndRestored(t *testing.T) {
	parallel(t)
	b := newZipBed(t)
	whole, stored := b.theirs("/backup/x", zip.Deflate, true), b.theirs("/backup/x", zip.Store, true)
	altered := bytes.Clone(stored)
	altered[bytes.Index(altered, []byte("desiredState"))] ^= 1
	for name, x := range map[string]struct {
		data             []byte
		list             string
		verify, restored int
	}{
		"stored":             {stored, "zip + state file", 0, 0},
		"half":               {whole[:len(whole)/2], "unreadable: run verify", 3, 3},
		"no end":             {whole[:len(whole)-22], "unreadable: run verify", 3, 3},
		"junk":               {append(bytes.Clone(whole), "junk"...), "unreadable: run verify", 3, 0},
		"state file altered": {altered, "unreadable: run verify", 3, 0},
		"ours with junk":     {append(b.ours(ourZip), "junk"...), "unreadable: run verify", 3, 0},
		"ours, cut":          {b.ours(ourZip)[:1000], "unreadable: run verify", 3, 3},
		"zeros":              {make([]byte, 10_000), "unreadable: run verify", 3, 3},
		"nothing":            {nil, "unreadable: run verify", 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newStore(t)
			must(t, os.MkdirAll(dir, 0o700))
			must(t, os.WriteFile(filepath.Join(dir, rollingZip), x.data, 0o600))
			run(t, 0, []string{rollingZip, x.list}, "list", "--dir="+dir)
			run(t, x.verify, nil, "verify", "--dir="+dir, "--min-free=0", rollingZip)
			run(t, x.restored, nil, "restore", "--dry-run", "--dir="+dir, "--data-dir="+target(t), rollingZip)
		})
	}
}

// A daemon with its own names leaves zips of other programs alone, whole or not: they stay, and nothing is wrong because of them.
func TestDaemonLeavesZipsOfOtherProgramsAlone(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newZipBed(t).fill()
	whole := b.theirs("/backup/x", zip.Deflate, true)
	b.put("2026-01-09T10:00:00Z_etcd.zip", whole[:len(whole)/2])
	bucket := m.bucket(t)
	bucket.plant(filepath.Join(b.dir, k3sZip), k3sZip)
	theirs := files(t, b.dir)
	d := m.followIn(t, b.dir, bucket.flags(m.server.Target), patient)
	eventually(t, "the daemon pruned, and the bucket followed", func() bool {
		return strings.Count(d.stderr.String(), "pruned=1") > 2 && len(bucket.keys()) >= 4
	})
	for _, name := range theirs {
		if _, err := os.Stat(filepath.Join(b.dir, name)); err != nil {
			t.Error(err)
		}
	}
	for _, key := range bucket.keys() {
		if strings.HasSuffix(key, ".zip") && key != k3sZip {
			t.Errorf("uploaded %s", key)
		}
	}
	if log := d.stderr.String(); strings.Contains(log, ".zip") || strings.Contains(log, "level=error") {
		t.Error(log)
	}
}

// A zip restores by name from the bucket, with its state file.
func TestRestoreFromAZipInTheBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newZipBed(t).fill()
	bucket := m.bucket(t)
	for name, short := range map[string]string{rollingZip: rollingZip, ourZip: strings.TrimSuffix(ourZip, ".zip"), namedZip: "snap1"} {
		bucket.plant(filepath.Join(b.dir, name), name)
		dir, stateFile := target(t), filepath.Join(t.TempDir(), "cluster.rkestate")
		run(t, 0, []string{"restoring " + name + " from s3://", "restored " + dir, "state file       " + stateFile}, words("restore", bucket.flags(m.server.Target),
			[]string{"--from=s3", "--data-dir=" + dir, "--state-file=" + stateFile, short})...)
		wantState(t, etcdtest.Default, "node1", dir, b.want).kill()
		text, err := os.ReadFile(stateFile)
		must(t, err)
		if string(text) != stateText {
			t.Errorf("%s: the state file has %q", name, text)
		}
		wantMode(t, stateFile, 0o600)
	}
}

// A restore with --state-file that cannot have one changes nothing.
func TestRestoreRefusesAStateFileThatItCannotExtract(t *testing.T) {
	parallel(t)
	b := newZipBed(t).fill()
	there, same := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "same")
	directory := filepath.Join(t.TempDir(), "directory")
	must(t, os.Mkdir(directory, 0o700))
	must(t, os.WriteFile(there, []byte("mine"), 0o600))
	must(t, os.WriteFile(same, []byte(stateText), 0o600))
	cut := b.theirs("/backup/x", zip.Store, true)
	cut[bytes.Index(cut, []byte("desiredState"))] ^= 1
	for name, x := range map[string]struct {
		status         int
		snapshot, path string
		word           string
	}{
		"none in it":      {2, k3sZip, filepath.Join(t.TempDir(), "new"), "the snapshot has no state file of RKE: remove --state-file"},
		"an archive":      {2, b.archive, filepath.Join(t.TempDir(), "new"), "the snapshot has no state file"},
		"another file":    {2, namedZip, there, "exists and has other contents"},
		"a directory":     {2, namedZip, directory, "is a directory"},
		"no directory":    {2, namedZip, filepath.Join(t.TempDir(), "none", "new"), "no such file"},
		"damaged, stored": {3, b.put("2026-01-09T10:00:00Z_etcd.zip", cut), filepath.Join(t.TempDir(), "new"), "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := target(t)
			run(t, x.status, []string{x.word}, "restore", "--dir="+b.dir, "--data-dir="+dir, "--state-file="+x.path, x.snapshot)
			if left := append(files(t, filepath.Dir(dir)), files(t, filepath.Dir(x.path))...); len(left) > 1 || strings.Contains(strings.Join(left, " "), "new") {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	text, err := os.ReadFile(there)
	must(t, err)
	if string(text) != "mine" {
		t.Errorf("the existing file has %q", text)
	}
	dir, fresh := target(t), filepath.Join(t.TempDir(), "new")
	run(t, 0, []string{"nothing is changed (--dry-run)", "state file       " + fresh}, "restore", "--dry-run", "--dir="+b.dir, "--data-dir="+dir, "--state-file="+fresh, namedZip)
	if left := files(t, filepath.Dir(fresh)); len(left) != 0 {
		t.Errorf("--dry-run wrote %q", left)
	}
	run(t, 0, []string{"restored " + dir}, "restore", "--dir="+b.dir, "--data-dir="+dir, "--state-file="+same, namedZip) // the same file stays
}

// Zips go to the other members, from the bucket and from a peer, byte for byte; and they are deleted by name.
func TestZipsAreDownloadedServedAndDeleted(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := newZipBed(t).fill()
	bucket := m.bucket(t)
	for _, name := range []string{rollingZip, ourZip, namedZip} {
		bucket.plant(filepath.Join(b.dir, name), name)
		here := newStore(t)
		run(t, 0, []string{"downloaded " + filepath.Join(here, name), "verified"}, words("download", bucket.flags(m.server.Target),
			[]string{"--dir=" + here, "--min-free=0", strings.TrimSuffix(name, ".zip")})...)
		b.wantSameFile(filepath.Join(here, name), name)

		s := serve(t, b.pki, filepath.Join(b.dir, name), "127.0.0.1:0")
		there, data := newStore(t), target(t)
		peer := append(certificates(b.pki, b.pki.Client), "--peer="+s.address)
		run(t, 0, []string{"downloaded " + filepath.Join(there, name)}, words("download", peer, []string{"--dir=" + there, "--min-free=0"})...)
		b.wantSameFile(filepath.Join(there, name), name)
		run(t, 0, []string{"restored " + data}, words("restore", peer, []string{"--data-dir=" + data})...)
		wantState(t, etcdtest.Default, "node1", data, b.want).kill()
		run(t, 0, []string{"deleted " + name}, "delete", "--dir="+here, strings.TrimSuffix(name, ".zip"))
		wantNothing(t, here)
	}
	bucket.put("snap10.zip", "another one")
	run(t, 0, []string{"deleted snap1.zip from the bucket"}, words("delete", bucket.flags(m.server.Target), []string{"--dir=" + b.dir, "--from=s3", "snap1"})...)
	bucket.has(rollingZip, ourZip, "snap10.zip")
	run(t, 2, []string{"rename it to NAME.zip"}, words("serve", certificates(b.pki, b.pki.Server), []string{
		"--serve-on=127.0.0.1:0",
		b.put("renamed", b.theirs("x", zip.Deflate, false)),
	})...)
}

// A damaged snapshot names a zip to use instead, and a damaged zip an older snapshot.
func TestDamagedSnapshotNamesAZipInstead(t *testing.T) {
	parallel(t)
	b := newZipBed(t)
	b.dir = newStore(t)
	b.put(rollingZip, b.theirs("/backup/snap", zip.Deflate, true))
	bad := rolling(t, node, 1)[0]
	b.put(bad, []byte("nothing"))
	p := run(t, 3, []string{"damaged", "verify the next older snapshot, ", "verify " + rollingZip + " --dir " + b.dir}, "verify", "--dir="+b.dir, "--min-free=0")
	pasted(t, advised(t, p)).demand(t, 0, rollingZip+" is intact")
	must(t, os.Remove(filepath.Join(b.dir, bad)))
	whole := b.theirs("/backup/snap", zip.Deflate, true)
	half := b.put(k3sZip, whole[:len(whole)/2])
	p = run(t, 3, []string{"damaged", "the file is cut off", "verify " + rollingZip + " --dir " + b.dir}, "verify", "--dir="+b.dir, "--min-free=0")
	pasted(t, advised(t, p)).demand(t, 0, rollingZip+" is intact")
	run(t, 3, []string{"damaged"}, "restore", "--data-dir="+target(t), half)
	b.put(namedZip, whole[:len(whole)/2]) // its name says no time, so the time of its file counts
	run(t, 3, []string{"damaged", "verify the next older snapshot, ", "verify " + rollingZip + " --dir " + b.dir}, "verify", "--dir="+b.dir, "--min-free=0", "snap1")
	// A restore uses the intact copy in the bucket.
	m := newMirrorBed(t, plainServer.get(t))
	bucket := m.bucket(t)
	bucket.put(k3sZip, string(whole))
	run(t, 0, []string{"warning: " + k3sZip + " in " + b.dir + " is damaged: trying the copy in s3://" + bucket.name}, words("restore", bucket.flags(m.server.Target),
		[]string{"--dir=" + b.dir, "--data-dir=" + target(t), "--dry-run", strings.TrimSuffix(k3sZip, ".zip")})...)
	run(t, 0, []string{"unreadable: run verify"}, "list", "--dir="+b.dir)
}
