package rketools_test

import (
	"os"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
)

// aged writes files that are older than a day.
func (h *host) aged(files ...string) {
	h.t.Helper()
	long := time.Now().Add(-25 * time.Hour)
	for _, file := range files {
		h.write("backup/"+file, "x")
		must(h.t, os.Chtimes(h.path("backup/"+file), long, long))
	}
}

func TestRecurringSnapshotsOfTheClusterAgeOut(t *testing.T) {
	old := []string{
		"c-abcde-rl-aaaaa_2026-01-01T00-00-00Z.zip", "c-abcde-rs-bbbbb_2026-01-01T00:00:00Z", // recurring, local and S3
		"c-abcde-ml-ccccc_2026-01-01T00-00-00Z.zip", "c-other-rl-ddddd_2026-01-01T00-00-00Z.zip", "2026-01-01T00:00:00Z_etcd.zip", "pki.bundle.tar.gz", // others
	}
	kept := []string{old[4], old[2], "c-abcde-rl-young_x.zip"}
	for situation, test := range map[string]struct {
		name    string
		removes bool
	}{
		"recurring": {"c-abcde-rl-zzzzz_2026-11-28T10-00-00Z", true},
		"manual":    {"c-abcde-ml-zzzzz_2026-11-28T10-00-00Z", true}, // any new name with the prefix triggers it
		"of RKE":    {"rke_etcd_snapshot_2026-11-28T10:00:00Z", false},
	} {
		t.Run(situation, func(t *testing.T) {
			h := newHost(t)
			h.aged(old...)
			h.write("backup/c-abcde-rl-young_x.zip", "x")
			h.must(once(t, test.name, "--retention=24h")...)
			want := append([]string{test.name + ".zip", old[3], old[5]}, kept...)
			if !test.removes {
				want = append(want, old[0], old[1])
			}
			h.hasBackups(sorted(want)...)
		})
	}
}

func TestFailedSaveOrUploadRemovesNothing(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	h := newHost(t)
	h.aged("c-abcde-rl-aaaaa_x.zip")
	const name = "c-abcde-rl-zzzzz_y"
	h.fails([]string{"failed to set s3 server"}, once(t, name, b.flags("--s3-bucketName=not-there")...)...)
	h.fails([]string{name}, once(t, name, "--endpoints=127.0.0.1:1", "--backup-retries=0")...)
	h.hasBackups("c-abcde-rl-aaaaa_x.zip", name+".zip")
	h.must(once(t, name, b.flags("--retention=24h")...)...)
	h.hasBackups(name + ".zip")
}
