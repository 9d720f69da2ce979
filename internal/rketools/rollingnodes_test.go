package rketools_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// inBucket is the name of an object as its key has it.
func inBucket(b *bucket, folder string) (names []string) {
	for _, key := range b.keys() {
		if name, ok := strings.CutPrefix(key, folder); ok && strings.HasSuffix(name, "_etcd.zip") {
			names = append(names, name)
		}
	}
	return names
}

// versions counts those of all objects.
func (b *bucket) versions() (n int) {
	for o := range b.client.ListObjects(b.t.Context(), b.name, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		must(b.t, o.Err)
		if !o.IsDeleteMarker {
			n++
		}
	}
	return n
}

// manifestOf reads what an object says of itself.
func manifestOf(t *testing.T, b *bucket, key string) snapshot.Manifest {
	t.Helper()
	content := b.get(key)
	m, _, err := snapshot.DecodeTail([]byte(content[max(0, len(content)-snapshot.TailSize):]), int64(len(content)))
	must(t, err)
	return m
}

// Three nodes take snapshots in the same seconds and upload them into one folder: what is there first stays, and each node is content.
func TestRollingOfSeveralNodesInOneFolder(t *testing.T) {
	c, err := etcdtest.Start(t.Context(), etcdtest.Options{TLS: true, Members: 3})
	must(t, err)
	defer func() { must(t, c.Stop()) }()
	b := newBucket(t, s3test.BucketOptions{Versioning: true})
	b.put("one/"+oldZip, "of the original, from another node")
	var nodes []*rolling
	for _, m := range c.Members {
		nodes = append(nodes, newHost(t).rolls(m, c.PKI, append(b.flags("--s3-folder=one"), "--creation=1s", "--retention=1h")...))
	}
	for _, r := range nodes {
		r.h.saved(4)
		r.says("msg=mirrored")
	}
	eventually(t, "the old one was pruned", func() bool { return !slices.Contains(b.keys(), "one/"+oldZip) })
	for _, r := range nodes {
		r.ends()
		if strings.Contains(r.out.String(), "level=error") {
			t.Errorf("an error of one node:\n%s", r.out.String())
		}
	}
	there := inBucket(b, "one/")
	var members []snapshot.ID
	for _, name := range there {
		m := manifestOf(t, b, "one/"+name)
		members = append(members, m.MemberID)
		for _, r := range nodes {
			if r.h.has("backup/"+name) && r.h.healthy(name).MemberID == m.MemberID && r.h.read("backup/"+name) != b.get("one/"+name) {
				t.Errorf("%s is not the one that its node took", name)
			}
		}
	}
	t.Logf("of %v", members)
	if n := b.versions(); n != len(there)+1 { // and the old one
		t.Errorf("%d versions of %d objects: something was overwritten", n, len(there))
	}
}

// In a bucket without folders, only what this node has uploaded is its own.
func TestRollingWithoutFolderPrunesOnlyWhatThisNodeUploaded(t *testing.T) {
	c, err := etcdtest.Start(t.Context(), etcdtest.Options{TLS: true, Members: 3})
	must(t, err)
	defer func() { must(t, c.Stop()) }()
	b := newBucket(t, s3test.BucketOptions{})
	b.put(oldZip, "of anybody")
	b.put(oldRaw, "of anybody, too")
	first := newHost(t).rolls(c.Members[0], c.PKI, append(b.flags(), "--creation=12h", "--retention=1s")...)
	theirs := first.h.saved(1)[0]
	first.says("msg=mirrored")
	first.ends()
	foreign := newHost(t).rolls(sharedEtcd(t).Members[0], sharedEtcd(t).PKI, append(b.flags(), "--creation=12h", "--retention=1s")...)
	strangers := foreign.h.saved(1)[0]
	eventually(t, "it was uploaded", func() bool { return slices.Contains(b.keys(), strangers) })
	foreign.ends()

	taken, err := snapshot.ParseName(strangers)
	must(t, err)
	eventually(t, "another second began", func() bool { return time.Since(taken.Time) > time.Second })

	h := newHost(t)
	r := h.rolls(c.Members[1], c.PKI, append(b.flags(), "--creation=1s", "--retention=2s")...)
	own := h.saved(1)[0]
	eventually(t, "its first was uploaded", func() bool { return slices.Contains(b.keys(), own) })
	eventually(t, "its first was pruned", func() bool { return !h.has("backup/"+own) && !slices.Contains(b.keys(), own) })
	r.ends()
	for _, key := range []string{oldZip, oldRaw, theirs, strangers} {
		if !slices.Contains(b.keys(), key) {
			t.Errorf("%s is gone", key)
		}
	}
}

func TestRollingOnAFullDiskSavesNothingUnderAFinalName(t *testing.T) {
	c, h := sharedEtcd(t), newHost(t)
	must(t, unix.Mount("tmpfs", h.path("backup"), "tmpfs", 0, "size=64k,mode=0755"))
	t.Cleanup(func() { must(t, unix.Unmount(h.path("backup"), unix.MNT_DETACH)) })
	fill, err := os.Create(h.path("backup/other"))
	must(t, err)
	_, _ = fill.Write(make([]byte, 64<<10)) // as much as fits
	must(t, fill.Close())
	r := h.rolls(c.Members[0], c.PKI, "--creation=1s", "--retention=1h")
	r.says("snapshot failed")
	r.says("reason=low_space")
	if got := h.zips(); len(got) > 0 {
		t.Errorf("saved %q on a full disk", got)
	}
	must(t, os.Remove(h.path("backup/other")))
	h.healthy(h.saved(1)[0])
	r.ends()
	if got := h.partials(); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
}

// The default of --min-free would refuse this disk; rke-tools saves there.
func TestRollingSavesOnASmallDisk(t *testing.T) {
	c := sharedEtcd(t)
	for minFree, saved := range map[string]bool{"": true, "300MiB": false} {
		t.Run("ETCD_BACKUP_MIN_FREE="+minFree, func(t *testing.T) {
			if minFree != "" {
				t.Setenv("ETCD_BACKUP_MIN_FREE", minFree)
			}
			h := newHost(t)
			must(t, unix.Mount("tmpfs", h.path("backup"), "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", 200<<20)))
			t.Cleanup(func() { must(t, unix.Unmount(h.path("backup"), unix.MNT_DETACH)) })
			r := h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
			if saved {
				r.says("snapshot saved")
			} else {
				r.says("reason=low_space")
				r.says("or lower ETCD_BACKUP_MIN_FREE")
			}
			if got := len(h.zips()) > 0; got != saved {
				t.Errorf("saved: %t", got)
			}
			r.ends()
		})
	}
}

// rke-tools saves there; the program's own daemon does not.
func TestDirectoryThatOthersCanWriteIsUsedWithAWarning(t *testing.T) {
	c, h := sharedEtcd(t), newHost(t)
	must(t, os.Chmod(h.path("backup"), 0o777))
	const warning = "other users can create files in the directory"
	if r := h.must(once(t, "snap1")...); !strings.Contains(r.output, warning) {
		t.Errorf("once says %s", r.output)
	}
	r := h.rolls(c.Members[0], c.PKI, "--creation=12h", "--retention=72h")
	r.says("snapshot saved")
	r.says(warning)
	r.ends()
}

func TestRollingRefusesWhatCannotWork(t *testing.T) {
	h, c := newHost(t), sharedEtcd(t)
	trio := []string{"save", "--cacert", c.PKI.CACert, "--cert", c.PKI.Client.Cert, "--key", c.PKI.Client.Key}
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--creation=100ms"}, "--creation: "},
		{[]string{"--creation=0h"}, "Creation period and/or retention are not set"},
		{[]string{"--s3-backup", "--s3-endpoint=127.0.0.1:1", "--s3-accessKey=a", "--s3-secretKey=b"}, "failed to set s3 server: "},
	} {
		h.fails([]string{test.want}, append(slices.Clone(trio), test.flags...)...)
	}
}
