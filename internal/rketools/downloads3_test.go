package rketools_test

import (
	"archive/zip"
	"bytes"
	"os"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// zipOf makes an archive as rke-tools does.
func zipOf(t *testing.T, members ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		m, err := w.CreateHeader(&zip.FileHeader{Name: members[i], Method: zip.Deflate})
		must(t, err)
		_, err = m.Write([]byte(members[i+1]))
		must(t, err)
	}
	must(t, w.Close())
	return out.String()
}

// database is a snapshot as etcdctl saves it.
func database(t *testing.T) string {
	t.Helper()
	file := t.TempDir() + "/snapshot.db"
	_, err := sharedEtcd(t).Etcdctl(t.Context(), "snapshot", "save", file)
	must(t, err)
	content, err := os.ReadFile(file)
	must(t, err)
	return string(content)
}

func TestDownloadTakesWhatTheOriginalUploaded(t *testing.T) {
	db := database(t)
	archive := zipOf(t, "/backup/snap1", db, "/etc/kubernetes/snap1.rkestate", `{"a":1}`)
	renamed := zipOf(t, "/backup/other", db)
	const utc = "2026-11-28T10:00:00Z_etcd"
	for _, test := range []struct {
		situation, name string
		objects         map[string]string
		want            []string
	}{
		{"zip", "snap1", map[string]string{"snap1.zip": archive, "snap10.zip": "x", "snap1-a": "x"}, []string{"snap1", "snap1.zip"}},
		{"database", "snap1", map[string]string{"snap1": db}, []string{"snap1"}},
		{"database before zip", "snap1", map[string]string{"snap1": db, "snap1.zip": "x"}, []string{"snap1"}},
		{"escaped", utc, map[string]string{"2026-11-28T10%3A00%3A00Z_etcd.zip": archive}, []string{utc, utc + ".zip"}},
		{"renamed", "snap2", map[string]string{"snap2.zip": renamed}, []string{"snap2", "snap2.zip"}},
	} {
		t.Run(test.situation, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{})
			for key, content := range test.objects {
				b.put("f/"+key, content)
			}
			h := newHost(t)
			for range 2 { // RKE may repeat it
				h.must(append([]string{"download", "--name", test.name}, b.flags("--s3-folder=f")...)...)
				h.hasBackups(test.want...)
				if h.read("backup/"+test.name) != db {
					t.Error("the database is not the one that etcd sent")
				}
			}
			if _, err := etcdtest.Etcdutl(t.Context(), etcdtest.Default, "snapshot", "restore", h.path("backup/"+test.name), "--data-dir", t.TempDir()+"/data"); err != nil {
				t.Errorf("etcd does not restore it: %v", err)
			}
		})
	}
}

func TestFailedDownloadKeepsTheGoodCopy(t *testing.T) {
	db := database(t)
	archive := zipOf(t, "/backup/snap1", db)
	broken := []byte(db)
	broken[len(broken)/2]++
	for situation, object := range map[string]string{
		"cut off":            archive[:len(archive)-30],
		"half":               archive[:len(archive)/2],
		"empty":              "",
		"no snapshot":        "hello",
		"another database":   zipOf(t, "/backup/snap1", string(broken)),
		"without a database": zipOf(t, "/etc/kubernetes/snap1.rkestate", "{}"),
		"two databases":      zipOf(t, "/backup/snap1", db, "/backup/snap2", db),
	} {
		t.Run(situation, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{})
			b.put("snap1.zip", object)
			h := newHost(t)
			h.write("backup/snap1.zip", "good zip")
			h.write("backup/snap1", "good database")
			for _, call := range []string{"download", "extractstatefile"} {
				h.fails([]string{"failed to download s3 backup: ", "snap1.zip"}, append([]string{call, "--name", "snap1"}, b.flags()...)...)
			}
			h.hasBackups("snap1", "snap1.zip")
			if h.read("backup/snap1.zip") != "good zip" || h.read("backup/snap1") != "good database" {
				t.Error("a good copy has changed")
			}
		})
	}
}

func TestDownloadThatBreaksKeepsTheGoodCopy(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	h := newHost(t)
	h.write("backup/snap1.zip", "good zip")
	h.fails([]string{"failed to set s3 server: "}, append([]string{"download", "--name", "snap1"}, b.flags("--s3-endpoint=127.0.0.1:1")...)...)
	h.fails([]string{"no backups found"}, append([]string{"download", "--name", "snap1"}, b.flags()...)...)
	if h.read("backup/snap1.zip") != "good zip" {
		t.Error("the good copy has changed")
	}
	h.hasBackups("snap1.zip")
}

func TestDownloadOfADamagedArchiveKeepsAnIntactOne(t *testing.T) {
	db := database(t)
	content := zipOf(t, "/backup/snap1", db, "/etc/kubernetes/snap1.rkestate", strings.Repeat("state", 1000))
	intact := content
	at := strings.LastIndex(content[:strings.LastIndex(content, "PK\x01\x02")], "/etc/kubernetes") + 60
	content = content[:at] + "\xff\xff\xff" + content[at+3:]
	b := newBucket(t, s3test.BucketOptions{})
	b.put("snap1.zip", content)
	h := newHost(t)
	h.write("backup/snap1.zip", intact)
	h.must(append([]string{"download", "--name", "snap1"}, b.flags()...)...)
	if h.read("backup/snap1") != db || h.read("backup/snap1.zip") != intact {
		t.Error("the database was not unpacked, or the intact archive was replaced")
	}
}

func TestExtractStateFileFailsWithoutOne(t *testing.T) {
	h := newHost(t)
	words := []string{"Unable to extract file [", "snap1.rkestate] from file [", "snap1.zip] to destination [", "cluster.rkestate]: "}
	h.fails(words, "extractstatefile", "--name", "snap1")
	h.must(once(t, "snap1")...)
	h.fails(words, "extractstatefile", "--name", "snap1")
	h.write("backup/snap1.zip", "PK")
	h.fails(words, "extractstatefile", "--name", "snap1")
	if h.has("tmp/cluster.rkestate") {
		t.Error("there is a state file")
	}
}

func TestExtractStateFileReplacesALinkAndIsPrivate(t *testing.T) {
	h := newHost(t)
	h.write("backup/snap1.zip", zipOf(t, "/backup/snap1", database(t), "/etc/kubernetes/renamed.rkestate", "{}"))
	h.write("victim", "victim")
	must(t, os.Symlink(h.path("victim"), h.path("tmp/cluster.rkestate")))
	h.must("extractstatefile", "--name", "snap1")
	info, err := os.Lstat(h.path("tmp/cluster.rkestate"))
	must(t, err)
	if info.Mode() != 0o600 || h.read("tmp/cluster.rkestate") != "{}" || h.read("victim") != "victim" {
		t.Errorf("mode %s, content %q", info.Mode(), h.read("tmp/cluster.rkestate"))
	}
}
