package rketools_test

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

func TestOnceSavesAZipWithTheStateFile(t *testing.T) {
	h := newHost(t)
	h.write("etc/kubernetes/snap1.rkestate", `{"desiredState":{}}`)
	h.must(once(t, "snap1")...)
	h.hasBackups("snap1.zip")
	info, err := os.Stat(h.path("backup/snap1.zip"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	if h.has("etc/kubernetes/snap1.rkestate") {
		t.Error("the state file, which contains private keys, is still there")
	}
	h.must("extractstatefile", "--name", "snap1")
	if got := h.read("tmp/cluster.rkestate"); got != `{"desiredState":{}}` {
		t.Errorf("extracted %q", got)
	}
}

func TestOnceReplacesASnapshotOfTheSameName(t *testing.T) {
	h := newHost(t)
	h.must(once(t, "snap1")...)
	first := h.read("backup/snap1.zip")
	h.write("backup/snap1.zip", first[:len(first)/2]) // as a kill of rke-tools leaves it
	h.must(once(t, "snap1", "--creation=12h", "--retention=72h")...)
	h.hasBackups("snap1.zip")
	if h.read("backup/snap1.zip")[:2] != first[:2] || len(h.read("backup/snap1.zip")) <= len(first)/2 {
		t.Error("the damaged snapshot is still there")
	}
}

func TestOnceUploadsToS3AndDownloadBringsItBack(t *testing.T) {
	for _, folder := range []string{"", "clusters/one"} {
		t.Run("folder="+folder, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{})
			flags, prefix := b.flags(), ""
			if folder != "" {
				flags, prefix = b.flags("--s3-folder="+folder), folder+"/"
			}
			h := newHost(t)
			h.write("etc/kubernetes/rke_2026-11-28T10:00:00+02:00.rkestate", "{}")
			h.must(once(t, "rke_2026-11-28T10:00:00+02:00", flags...)...)
			b.hasKeys(prefix + "rke_2026-11-28T10:00:00+02:00.zip")
			other := newHost(t)
			other.must(append([]string{"download", "--name", "rke_2026-11-28T10:00:00+02:00"}, flags...)...)
			other.hasBackups("rke_2026-11-28T10:00:00+02:00", "rke_2026-11-28T10:00:00+02:00.zip")
			if other.read("backup/rke_2026-11-28T10:00:00+02:00.zip") != h.read("backup/rke_2026-11-28T10:00:00+02:00.zip") {
				t.Error("another archive was downloaded")
			}
			other.must(append([]string{"extractstatefile", "--name", "rke_2026-11-28T10:00:00+02:00", "--creation=0h", "--retention=0h"}, flags...)...)
			if got := other.read("tmp/cluster.rkestate"); got != "{}" {
				t.Errorf("extracted %q", got)
			}
		})
	}
}

func TestOnceSaysWhatFailed(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	for _, test := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"bucket missing", b.flags("--s3-bucketName=not-there"), []string{"failed to set s3 server: ", "not-there", "--s3-bucketName"}},
		{"server away", b.flags("--s3-endpoint=127.0.0.1:1"), []string{"failed to set s3 server: "}},
		{"CA of another", b.flags("--s3-endpoint-ca=" + wrongCA(t)), []string{"failed to set s3 server: ", "--s3-endpoint-ca"}},
		{"no CA", b.flags("--s3-endpoint-ca=bm90IGEgY2VydGlmaWNhdGU="), []string{"failed to set s3 server: ", "--s3-endpoint-ca"}},
		{"no TLS", b.flags("--s3-endpoint=http://" + b.target.Endpoint()), []string{"failed to set s3 server: ", "without TLS"}},
		{"wrong key", b.flags("--s3-secretKey=wrong"), []string{"failed to set s3 server: ", "--s3-secretKey"}},
		{"one key", b.flags("--s3-secretKey="), []string{"failed to set s3 server: ", "--s3-secretKey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			r := h.fails(test.want, once(t, "snap1", test.flags...)...)
			h.hasBackups("snap1.zip") // RKE reports the S3 failure, and the snapshot is here
			for _, secret := range []string{b.target.SecretKey, os.Getenv("S3_SECRET_KEY"), os.Getenv("S3_ACCESS_KEY")} {
				if strings.Contains(r.output, secret) {
					t.Errorf("a key is in the output: %s", r.output)
				}
			}
		})
	}
}

func wrongCA(t *testing.T) string {
	t.Helper()
	ca, err := s3test.NewCA(t.TempDir())
	must(t, err)
	return ca.File
}

func TestUploadKeepsAnObjectOfABucketWithoutVersions(t *testing.T) {
	for _, test := range []struct {
		situation string
		versions  bool
		object    string
		skips     bool
	}{
		{"there", false, "of another node", true},
		{"empty", false, "", false},
		{"there, with versions", true, "of another node", false},
	} {
		t.Run(test.situation, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{Versioning: test.versions})
			b.put("snap1.zip", test.object)
			b.put("snap1.zip.old", "x")
			h := newHost(t)
			r := h.must(once(t, "snap1", b.flags()...)...)
			if skipped := strings.Contains(r.output, "Skipping upload"); skipped != test.skips {
				t.Errorf("skipped: %t: %s", skipped, r.output)
			}
			want := h.read("backup/snap1.zip")
			if test.skips {
				want = test.object
			}
			if b.get("snap1.zip") != want {
				t.Error("another object is in the bucket")
			}
		})
	}
}

func TestOnceAcceptsKeysAsTheyAre(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	h := newHost(t)
	h.must(once(t, "snap1", b.flags("--s3-accessKey="+b.target.AccessKey, "--s3-secretKey="+b.target.SecretKey)...)...)
	b.hasKeys("snap1.zip")
}

func TestOnceWithoutEtcdFailsAfterItsRetries(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("etc/kubernetes/snap1.rkestate", "{}")
	r := h.failsAlongside("snapshot snap1: ", once(t, "snap1", "--endpoints=127.0.0.1:1", "--backup-retries=1")...)
	if n := strings.Count(r.output, "trying again"); n != 1 {
		t.Errorf("%d further tries, not 1: %s", n, r.output)
	}
	h.hasBackups()
	if h.has("etc/kubernetes/snap1.rkestate") {
		t.Error("the state file, which contains private keys, is still there")
	}
}

func TestOnceIncludesAStateFileThatIsNotJSON(t *testing.T) {
	h := newHost(t)
	h.write("etc/kubernetes/snap1.rkestate", "not JSON")
	h.must(once(t, "snap1")...)
	h.must("extractstatefile", "--name", "snap1")
	if got := h.read("tmp/cluster.rkestate"); got != "not JSON" {
		t.Errorf("extracted %q", got)
	}
}

func TestOnceLeavesAnUncompressedFileThatIsNoDatabase(t *testing.T) {
	h := newHost(t)
	h.write("backup/pki.bundle.tar.gz", "keys")
	h.must(once(t, "pki.bundle.tar.gz")...)
	h.hasBackups("pki.bundle.tar.gz", "pki.bundle.tar.gz.zip")
	h.write("backup/snap1", database(t))
	h.must(once(t, "snap1")...)
	h.hasBackups("pki.bundle.tar.gz", "pki.bundle.tar.gz.zip", "snap1.zip")
}

func TestSaveDemandsCertificatesAndTimes(t *testing.T) {
	h := newHost(t)
	for _, flags := range [][]string{{"--cacert="}, {"--cert", ""}, {"--key="}, {"--creation=0h"}, {"--retention", "0h"}, {"--creation=-1h"}, {"--creation=x"}} {
		h.fails(nil, once(t, "snap1", flags...)...)
	}
	h.fails([]string{"no/ca.pem"}, once(t, "snap1", "--cacert=no/ca.pem")...)
	h.hasBackups()
}

// RKE takes the snapshot on all nodes at the same time, under one name.
func TestNodesThatUploadTheSameNameAllSucceed(t *testing.T) {
	for situation, versions := range map[string]bool{"without versions": false, "with versions": true} {
		t.Run(situation, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{Versioning: versions})
			hosts := []*host{newHost(t), newHost(t), newHost(t)}
			var running sync.WaitGroup
			for _, h := range hosts {
				h.write("etc/kubernetes/snap1.rkestate", noise(16<<20)) // so the archive is uploaded in parts
				cmd := h.command(once(t, "snap1", b.flags()...)...)
				running.Go(func() {
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
			running.Wait()
			b.hasKeys("snap1.zip")
			stored := b.get("snap1.zip")
			if !slices.ContainsFunc(hosts, func(h *host) bool { return h.read("backup/snap1.zip") == stored }) {
				t.Error("the object is the snapshot of no node")
			}
		})
	}
}

// extra_env may have a variable without a value.
func TestVariableWithoutAValueCountsAsNotSet(t *testing.T) {
	for _, name := range []string{"ETCD_BACKUP_MIN_FREE", "ETCD_BACKUP_LOG_LEVEL", "ETCD_BACKUP_STALL_TIMEOUT"} {
		t.Setenv(name, "")
	}
	h := newHost(t)
	h.must(once(t, "snap1")...)
	h.hasBackups("snap1.zip")
}

// RKE writes the file again for each call, so it never stays, whatever is wrong.
func TestStateFileOfACallThatIsRefusedIsRemoved(t *testing.T) {
	for name, args := range map[string][]string{
		"no times":        {"--cacert=ca", "--cert=c", "--key=k", "--creation=0h", "--retention=0h"},
		"no certificates": {"--creation=12h", "--retention=72h"},
	} {
		h := newHost(t)
		h.write("etc/kubernetes/snap1.rkestate", "{}")
		h.fails(nil, append([]string{"save", "--name=snap1", "--once"}, args...)...)
		if h.has("etc/kubernetes/snap1.rkestate") {
			t.Errorf("%s: the state file is still there", name)
		}
	}
}
