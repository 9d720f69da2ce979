package e2e_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// verdictBed has one snapshot of a cluster with TLS in every form.
type verdictBed struct {
	pki   *etcdtest.Authority
	forms map[string][]byte
}

func newVerdictBed(t *testing.T) *verdictBed {
	t.Helper()
	c := small(t, etcdtest.Options{})
	pki, archive := peerBed(t, c)
	b := &formBed{t: t, c: c, archive: archive}
	var err error
	b.raw, err = os.ReadFile(unpack(t, archive))
	must(t, err)
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		must(t, err)
		return data
	}
	return &verdictBed{pki: pki, forms: map[string][]byte{
		"archive": read(archive), "database": b.raw, "gzip": read(b.gzip()), "zstd": zstded(t, b.raw), "zip": read(b.zip(b.db("k3s-snapshot"))),
	}}
}

// One rule for all commands: whatever a damaged file was, each command that reads it ends with status 3.
func TestDamageHasOneStatusInAllCommands(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	bed := newVerdictBed(t)
	overwritten := func(data []byte) []byte {
		data = bytes.Clone(data)
		for i := range data[len(data)/2 : len(data)/2+4096] {
			data[len(data)/2+i] ^= 0x55
		}
		return data
	}
	for name, damage := range map[string]func([]byte) []byte{
		"empty": func([]byte) []byte { return nil }, "zeros": func(b []byte) []byte { return make([]byte, len(b)) },
		"cut off": func(b []byte) []byte { return b[:len(b)/2] }, "a piece of it": func(b []byte) []byte { return b[len(b)/2:] },
		"overwritten": overwritten, "a web page": func([]byte) []byte { return []byte("<!doctype html><title>Log in</title>") },
	} {
		for form, data := range bed.forms {
			if (name == "empty" || name == "a web page") && form != "archive" {
				continue // the same
			}
			t.Run(name+", "+form, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "some.bin")
				must(t, os.WriteFile(path, damage(data), 0o600))
				bed.damaged(t, m, path, form)
			})
		}
	}
}

// A snapshot whose database is of another etcd than its manifest says, with a matching digest, has the same status in all commands that read the database.
func TestDatabaseOfAnotherEtcdHasOneStatusInAllCommands(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	name := rolling(t, node, 1)[0]
	parsed, err := snapshot.ParseName(name)
	must(t, err)
	raw, err := os.ReadFile(unpack(t, saved(t, c)))
	must(t, err)
	dir := newStore(t)
	must(t, os.MkdirAll(dir, 0o700))
	f, err := os.Create(filepath.Join(dir, name))
	must(t, err)
	defer f.Close()
	w, err := snapshot.NewWriter(f)
	must(t, err)
	_, err = w.Write(raw)
	must(t, err)
	m := c.Members[0]
	_, err = w.Finish(snapshot.Manifest{Name: name, CreatedAt: parsed.Time, Node: node, Source: snapshot.Source{
		ClusterID: 1, MemberID: 2, Revision: 1 << 40, Members: []snapshot.Member{{ID: 2, Name: m.Name, PeerURLs: []string{m.PeerURL}}},
	}})
	must(t, err)
	says := []string{"damaged: the last revision of the database is ", ", before 1099511627776 as in the manifest"}
	from := []string{"--dir=" + dir, "--min-free=0"}
	run(t, 3, says, words("verify", from, []string{name})...)
	run(t, 3, says, words("verify", from, []string{name, "--restore"})...)
	for _, command := range [][]string{{"ls"}, {"get", "key"}, {"export", "namespace", "shop"}} {
		run(t, 3, says, slices.Concat(command, from, []string{"--snapshot=" + name})...)
	}
	restore := words("restore", []string{"--dir=" + dir, name, "--data-dir=" + target(t), "--dry-run"})
	run(t, 3, append(says, "(--skip-hash-check restores it anyway)"), restore...)
	run(t, 0, nil, append(restore, "--skip-hash-check")...)
}

func (b *verdictBed) damaged(t *testing.T, m *mirrorBed, path, form string) {
	t.Helper()
	free := "--min-free=0"
	run(t, 3, []string{"damaged"}, "verify", path, free)
	run(t, 3, []string{"damaged"}, "verify", path, free, "--restore")
	run(t, 3, []string{"damaged"}, "restore", path, "--data-dir="+target(t))
	if form != "archive" {
		return
	}
	run(t, 3, []string{"damaged"}, words("serve", []string{path, "--serve-on=127.0.0.1:0"}, certificates(b.pki, b.pki.Server))...)
	bucket, dir, name := m.bucket(t), newStore(t), rolling(t, node, 1)[0]
	bucket.plant(path, name)
	flags := append(bucket.flags(m.server.Target), "--dir="+dir)
	run(t, 3, []string{"damaged"}, words("download", flags, []string{free})...)
	run(t, 3, []string{"damaged"}, words("verify", flags, []string{"--from=s3", free})...)
	run(t, 3, []string{"damaged"}, words("restore", flags, []string{"--from=s3", "--data-dir=" + target(t)})...)
	plant(t, dir, path, name)
	run(t, 3, []string{"damaged"}, words("verify", []string{"--dir=" + dir, free})...)
	run(t, 3, []string{"damaged"}, words("restore", []string{"--dir=" + dir, "--data-dir=" + target(t)})...)
	run(t, 3, []string{"damaged"}, words("mirror", m.bucket(t).flags(m.server.Target), []string{"--dir=" + dir, "--node=" + node})...)
}

// A file that is no snapshot, or not in the form that its name says, has one status as well: by path, by name, from the bucket and from a
// download. A restore goes on if the database in it is intact.
func TestWrongFormHasOneStatusInAllCommands(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	bed := newVerdictBed(t)
	b := &formBed{t: t, raw: bed.forms["database"]}
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		must(t, err)
		return data
	}
	ours, zipName, rawName := rolling(t, node, 1)[0], "2026-01-10T10:00:00Z_etcd.zip", "2026-01-10T10:00:00Z_etcd"
	whole := bed.forms["zip"]
	for name, x := range map[string]struct {
		data   []byte
		intact bool            // its database
		right  map[string]bool // names for which it is right; "" stands for any other
	}{
		"zip without files":    {data: read(b.zip())},
		"zip of two databases": {data: read(b.zip(b.db("a"), b.db("b")))},
		"zip of a text":        {data: read(b.zip(entry{"a", strings.NewReader("text")}))},
		"gzip in gzip":         {data: gzipTwice(t, b.raw)},
		"half a zip":           {data: whole[:len(whole)/2]},
		"junk behind a zip":    {data: append(bytes.Clone(whole), "junk"...), intact: true},
		"zip":                  {data: read(b.zip(b.db("a"), entry{"b", strings.NewReader("text")})), intact: true, right: map[string]bool{zipName: true, rawName: true, "": true}},
		"database":             {data: b.raw, intact: true, right: map[string]bool{zipName: true, rawName: true, "": true}},
		"gzip":                 {data: bed.forms["gzip"], intact: true, right: map[string]bool{"": true}},
		"archive":              {data: bed.forms["archive"], intact: true, right: map[string]bool{ours: true, zipName: true, rawName: true, "": true}},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := m.bucket(t)
			for _, file := range []string{ours, zipName, rawName, "some.bin"} {
				key := file
				if file == "some.bin" {
					key = ""
				}
				status, restored := 3, 3
				if x.right[key] {
					status = 0
				}
				if x.intact {
					restored = 0
				}
				dir := newStore(t)
				must(t, os.MkdirAll(dir, 0o700))
				path := filepath.Join(dir, file)
				must(t, os.WriteFile(path, x.data, 0o600))
				run(t, status, nil, "verify", path, "--min-free=0")
				run(t, restored, nil, "restore", path, "--data-dir="+target(t), "--dry-run")
				if key == "" {
					continue
				}
				bucket.plant(path, file)
				remote := words(file, bucket.flags(m.server.Target), []string{"--min-free=0"})
				run(t, status, nil, "verify", "--dir="+dir, file, "--min-free=0")
				run(t, status, nil, words("verify", remote, []string{"--from=s3"})...)
				run(t, status, nil, words("download", remote, []string{"--dir=" + newStore(t)})...)
				run(t, restored, nil, words("restore", remote[:len(remote)-1], []string{"--from=s3", "--data-dir=" + target(t), "--dry-run"})...)
			}
		})
	}
}

// gzipTwice packs a file that is packed already.
func gzipTwice(t testing.TB, data []byte) []byte {
	t.Helper()
	for range 2 {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(data)
		must(t, err)
		must(t, w.Close())
		data = out.Bytes()
	}
	return data
}

// What restore takes, verify verifies, and says what it has proven.
func TestVerifyKnowsEveryForm(t *testing.T) {
	parallel(t)
	b := newFormBed(t)
	bare := filepath.Join(b.c.Members[0].DataDir, "member/snap/db")
	const proven, unproven = "etcd's digest matches", "no digest, so only the pages were checked; restore needs --skip-hash-check"
	for name, x := range map[string]struct {
		path  string
		words []string
	}{
		"archive":   {b.archive, []string{"is intact", "taken "}},
		"database":  {b.file(b.raw), []string{"is intact", "  database: " + proven}},
		"gzip":      {b.gzip(), []string{"is intact", "  gzip: " + proven}},
		"zstd":      {b.file(zstded(t, b.raw)), []string{"is intact", "  zstd: " + proven}},
		"rke-tools": {b.zip(b.db("/backup/snap"), entry{"/etc/kubernetes/snap.rkestate", bytes.NewReader([]byte("{}"))}), []string{"is intact", `  zip with "/backup/snap" in it: ` + proven}},
		"a copy":    {bare, []string{"has no fault in its pages", "  database: it has " + unproven}},
		"no digest": {b.file(zstded(t, b.raw[:len(b.raw)-32])), []string{"has no fault in its pages", "  zstd: it has " + unproven}},
	} {
		t.Run(name, func(t *testing.T) {
			// Each needs the same words, and a drill with each has the same keys.
			run(t, 0, append(x.words, "  revision ", " keys, hash ", "restored as a test: etcd "), "verify", x.path, "--min-free=0", "--restore")
		})
	}
	// What is no copy of a whole database is damaged, with or without a digest.
	data, err := os.ReadFile(bare)
	must(t, err)
	for name, path := range map[string]string{
		"cut between sectors": b.file(data[:len(data)/2&^511]), "cut within one": b.file(data[:len(data)-100]),
		"another digest": b.file(append(bytes.Clone(data), make([]byte, 32)...)),
	} {
		t.Run(name, func(t *testing.T) { run(t, 3, []string{"damaged"}, "verify", path, "--min-free=0") })
	}
}

// An archive whose end is lost is damaged for verify, even if all that is left decompresses.
func TestVerifyWantsTheManifestOfAnArchive(t *testing.T) {
	parallel(t)
	b := newFormBed(t)
	path := filepath.Join(t.TempDir(), rolling(t, node, 1)[0])
	must(t, os.WriteFile(path, zstded(t, b.raw), 0o600))
	run(t, 3, []string{"damaged", "it has no manifest", "its database is intact"}, "verify", path, "--min-free=0")
}

// A damaged snapshot is no dead end: the error has the command for the copy in the bucket, or for the next older one, and it works.
func TestDamagedSnapshotNamesWhatToUseInstead(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	good := m.save(t)
	bad := filepath.Join(t.TempDir(), "bad")
	must(t, os.WriteFile(bad, []byte("nothing"), 0o600))
	names := rolling(t, node, 2)
	dir, b := newStore(t), m.bucket(t)
	plant(t, dir, bad, names[0])
	plant(t, dir, good, names[1])
	mirror := append(b.flags(m.server.Target), "--dir="+dir, "--min-free=0")

	p := run(t, 3, []string{"damaged", "verify the next older snapshot, ", " old: etcd-rolling-backup verify " + names[1] + " --dir " + dir}, words("verify", mirror)...)
	pasted(t, advised(t, p)).demand(t, 0, names[1]+" is intact")
	b.plant(good, names[0])
	p = run(t, 3, []string{"damaged", "verify the copy in s3://" + b.name + ": etcd-rolling-backup verify " + names[0] + " --from s3"}, words("verify", mirror)...)
	pasted(t, advised(t, p)).demand(t, 0, names[0]+" is intact")

	// A restore wants the data: it takes the copy, and says so. It never takes an older snapshot on its own.
	restore := func(status int, want ...string) {
		t.Helper()
		run(t, status, want, words("restore", mirror[:len(mirror)-1], []string{"--data-dir=" + target(t), "--dry-run"})...)
	}
	restore(0, "warning: "+names[0]+" in "+dir+" is damaged: trying the copy in s3://"+b.name, "restoring "+names[0]+" from s3://"+b.name)
	empty := m.bucket(t)
	mirror = append(empty.flags(m.server.Target), "--dir="+dir, "--min-free=0")
	restore(3, "damaged")
}

// advised is the command at the end of an error.
func advised(t *testing.T, p *process) string {
	t.Helper()
	_, command, found := strings.Cut(p.stderr.String(), ": etcd-rolling-backup verify ")
	if !found {
		t.Fatalf("no command in %q", p.stderr.String())
	}
	return "etcd-rolling-backup verify --min-free=0 " + strings.TrimSpace(command)
}
