package rketools_test

import (
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

func TestDeleteRemovesOneSnapshotHereAndInS3(t *testing.T) {
	for _, folder := range []string{"", "f/"} {
		t.Run("folder="+folder, func(t *testing.T) {
			b := newBucket(t, s3test.BucketOptions{})
			flags := b.flags("--s3-folder=" + folder)
			flags[0] = "--s3-backup"
			others := []string{folder + "snap1-other.zip", folder + "snap1.db", folder + "snap1.zip.zip", folder + "snap10", folder + "snap10.zip", "z/snap1.zip"}
			for _, key := range append(others, folder+"snap1", folder+"snap1.zip") {
				b.put(key, "x")
			}
			h := newHost(t)
			for _, file := range []string{"snap1", "snap1.zip", "snap10", "snap10.zip", "pki.bundle.tar.gz"} {
				h.write("backup/"+file, "x")
			}
			h.must(append([]string{"delete", "--name", "snap1"}, flags...)...)
			h.hasBackups("pki.bundle.tar.gz", "snap10", "snap10.zip")
			b.hasKeys(others...)
			h.must(append([]string{"delete", "--name", "snap1"}, flags...)...) // every host deletes the same object
			b.hasKeys(others...)
		})
	}
}

func TestDeleteRemovesAnEscapedObject(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	b.put("2026-11-28T10%3A00%3A00%2B02%3A00_etcd.zip", "x")
	b.put("2026-11-28T10%3A00%3A01%2B02%3A00_etcd.zip", "x")
	newHost(t).must(append([]string{"delete", "--name", "2026-11-28T10:00:00+02:00_etcd"}, b.flags()...)...)
	b.hasKeys("2026-11-28T10%3A00%3A01%2B02%3A00_etcd.zip")
}

func TestCleanupNeverTouchesS3(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	b.put("snap1.zip", "x")
	cleanup := append([]string{"delete", "--name", "snap1", "--cleanup"}, b.flags()...)
	h := newHost(t)
	h.must(cleanup...)
	h.write("backup/snap1", "the only copy")
	h.must(cleanup...)
	h.hasBackups("snap1")
	b.hasKeys("snap1.zip")
}

func TestCleanupRemovesTheDatabaseNextToItsArchive(t *testing.T) {
	h := newHost(t)
	h.must(once(t, "snap1")...)
	h.write("backup/snap1", "unpacked")
	h.must("delete", "--name", "snap1", "--cleanup")
	h.hasBackups("snap1.zip")
}

func TestCleanupKeepsTheDatabaseNextToADamagedArchive(t *testing.T) {
	h := newHost(t)
	h.must(once(t, "snap1")...)
	h.write("backup/snap1.zip", h.read("backup/snap1.zip")[:500])
	h.write("backup/snap1", "unpacked")
	h.must("delete", "--name", "snap1", "--cleanup")
	h.hasBackups("snap1", "snap1.zip")
}

func TestDeleteRefusesNamesOfOtherFiles(t *testing.T) {
	h := newHost(t)
	h.write("etc/kubernetes/x", "x")
	for _, name := range []string{"", "../etc/kubernetes/x", "/etc/kubernetes/x", "..", ".", "a/b", ".lock"} {
		for _, call := range [][]string{{"delete"}, {"delete", "--cleanup"}, {"download", "--local-endpoint=127.0.0.1"}, {"extractstatefile"}, once(t, "x")} {
			h.fails([]string{"name"}, append(call, "--name="+name)...)
		}
	}
	if h.read("etc/kubernetes/x") != "x" {
		t.Error("the file has changed")
	}
}

func TestDeleteSaysWhyS3Failed(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	h := newHost(t)
	h.fails([]string{"failed to set s3 server: "}, append([]string{"delete", "--name", "snap1"}, b.flags("--s3-bucketName=not-there")...)...)
}
