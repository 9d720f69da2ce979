package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// breakage is one thing that goes wrong and is repaired again.
type breakage struct {
	name     string
	alerts   map[string]string // all that are to be raised, and how far they get at once
	need     time.Duration     // that passes before all of them are
	headline string            // of the page; "": Needs attention
	tells    []string          // words of /readyz and of the page; none: nobody answers
	log      string            // of the line about it
	repaired string            // of the line after the repair

	do, repair func(t *testing.T)
}

const (
	pending = "pending"
	firing  = "firing"
)

// One thing after another breaks beside the real program, etcd, MinIO and Prometheus: each time the alerts that stand for it come and
// no others, /readyz, the page and the log say what it is, and after the repair the backups are healthy again.
func TestEachBreakageRaisesItsAlerts(t *testing.T) {
	t.Parallel()
	b := newProofBed(t, "--keep-last=1000", proofSchedule, "--drill-schedule=@every 3s", "--journal", "--journal-segment=1s")
	b.well(t)
	for _, x := range []breakage{b.etcdStops(), b.s3IsCut(), b.diskFills(), b.diskFillsForTheJournal(), b.daemonStops(), b.archiveIsCutOff(), b.objectIsAltered()} {
		if !t.Run(x.name, func(t *testing.T) { b.prove(t, x) }) {
			return // what comes next begins with all being well
		}
	}
	t.Run("scrape", b.scrapeIsCheap)
	b.ranClean(t)
}

func (b *proofBed) prove(t *testing.T, x breakage) {
	t.Helper()
	seen := b.logged(t)
	x.do(t)
	b.prometheus.shows(t, x.alerts, x.need)
	b.says(t, seen, x.log)
	if x.tells == nil {
		if _, _, err := ask(&http.Transport{}, b.base+"/readyz", ""); err == nil {
			t.Error("/readyz answers")
		}
	} else {
		b.looks(t, http.StatusServiceUnavailable, cmp.Or(x.headline, "Needs attention"), x.tells...)
	}
	seen = b.logged(t)
	x.repair(t)
	b.says(t, seen, x.repaired)
	b.well(t)
}

// well waits until nobody has anything to say.
func (b *proofBed) well(t *testing.T) {
	t.Helper()
	b.prometheus.shows(t, map[string]string{}, 0)
	b.looks(t, http.StatusOK, "Healthy")
}

func (b *proofBed) etcdStops() breakage {
	member := b.etcd.Members[0]
	return breakage{
		name:     "etcd stopped",
		alerts:   map[string]string{"EtcdBackupFailing": pending, "EtcdBackupJournalStopped": pending, "EtcdBackupNotReady": pending},
		tells:    []string{"snapshots failed in a row", member.Endpoint, "is etcd running"},
		log:      "snapshot failed",
		repaired: "snapshot saved",
		do:       func(t *testing.T) { must(t, member.Stop()) },
		repair:   func(t *testing.T) { must(t, member.Restart(t.Context())) },
	}
}

func (b *proofBed) s3IsCut() breakage {
	return breakage{
		name:     "S3 cut",
		alerts:   map[string]string{"EtcdBackupMirrorFailing": pending, "EtcdBackupNotReady": pending},
		tells:    []string{"mirroring failed", "times in a row", "connection refused"},
		log:      "mirroring failed",
		repaired: "msg=mirrored",
		do:       func(t *testing.T) { must(t, b.s3.Down()) },
		repair:   func(t *testing.T) { must(t, b.s3.Up()) },
	}
}

// The disk is full when the daemon's default, --min-free, says so.
func (b *proofBed) diskFills() breakage {
	filler := filepath.Join(b.disk, "filler")
	return breakage{
		name:     "disk full",
		alerts:   map[string]string{"EtcdBackupDiskWillFill": pending, "EtcdBackupFailing": pending, "EtcdBackupNotReady": pending},
		tells:    []string{"snapshots failed in a row", "free space too low", "--min-free"},
		log:      "snapshot failed",
		repaired: "snapshot saved",
		do: func(t *testing.T) {
			// One that is under way would fail of it, rightly; after one there are seconds until the next.
			b.says(t, b.logged(t), "restore drill passed")
			f, err := os.Create(filler)
			must(t, err)
			defer f.Close()
			must(t, unix.Fallocate(int(f.Fd()), 0, 0, proofFiller))
		},
		repair: func(t *testing.T) { must(t, os.Remove(filler)) },
	}
}

// There is room for snapshots, and not for a segment: the journal stops first, and says so.
func (b *proofBed) diskFillsForTheJournal() breakage {
	filler := filepath.Join(b.disk, "filler")
	var release func()
	return breakage{
		name:     "disk too full for the journal",
		alerts:   map[string]string{"EtcdBackupJournalStopped": pending, "EtcdBackupNotReady": pending},
		headline: "Snapshots work, the journal needs attention",
		tells:    []string{"the disk is too full for the journal", "snapshots go on as long as they fit", "free space too low for a journal"},
		log:      "journal interrupted",
		repaired: "journal continues",
		do: func(t *testing.T) {
			b.says(t, b.logged(t), "restore drill passed")
			release = keepFree(t, filler, proofMinFree+6<<20)
			seen, client := b.logged(t), etcdtest.Dial(t, b.etcd)
			eventually(t, "the journal stopped", func() bool {
				_, err := client.Put(t.Context(), "/registry/a", "value")
				must(t, err)
				text, err := os.ReadFile(b.daemon.LogPath)
				must(t, err)
				return strings.Contains(string(text[seen:]), "journal interrupted")
			})
		},
		repair: func(*testing.T) { release() },
	}
}

// keepFree fills the disk but for so many bytes, with a file that shrinks when others write.
func keepFree(t *testing.T, filler string, free int64) (release func()) {
	t.Helper()
	f, err := os.Create(filler)
	must(t, err)
	room := func() (int64, error) {
		var disk unix.Statfs_t
		err := unix.Fstatfs(int(f.Fd()), &disk)
		return int64(disk.Bavail)*disk.Bsize - free, err
	}
	size, err := room()
	must(t, err)
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, size))
	ctx, cancel := context.WithCancel(t.Context())
	var keeper sync.WaitGroup
	keeper.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			n, err := room()
			if err == nil && n < 0 {
				size += n
				err = f.Truncate(size)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() {
		cancel()
		keeper.Wait()
		must(t, errors.Join(f.Close(), os.Remove(filler)))
	}
}

// The daemon comes back with a schedule under which the newest snapshot stays for as long as the next breakages take, and with drills of
// what the bucket holds.
func (b *proofBed) daemonStops() breakage {
	return breakage{
		name:     "daemon stopped",
		alerts:   map[string]string{"EtcdBackupAbsent": pending},
		log:      "msg=stopped",
		repaired: "msg=started",
		do:       func(t *testing.T) { must(t, b.daemon.Stop()) },
		repair: func(t *testing.T) {
			b.daemon.Args[slices.Index(b.daemon.Args, proofSchedule)] = "--schedule=@every 1h"
			b.daemon.Args = append(b.daemon.Args, "--drill-from=s3")
			must(t, b.daemon.Restart(t.Context()))
			b.has(t, "waiting_snapshots", 0)
		},
	}
}

// The daemon finds it, sets it aside and replaces it. It is unhealthy until the name has an intact file again: the copy in S3.
func (b *proofBed) archiveIsCutOff() breakage {
	var name string
	return breakage{
		name:     "archive cut off",
		alerts:   map[string]string{"EtcdBackupDamaged": firing, "EtcdBackupNotReady": pending},
		tells:    []string{"damage was found in rolling_" + node, "on the disk"},
		log:      "renamed a damaged snapshot to NAME.broken",
		repaired: "restore drill passed",
		do: func(t *testing.T) {
			newest := listed(t, b.store)[0]
			name = newest.Name.String()
			must(t, os.Truncate(filepath.Join(b.store, name), newest.Size/2))
		},
		repair: func(t *testing.T) {
			run(t, 0, nil, words("download", b.mirror, []string{"--to=" + b.disk, name})...)
			must(t, os.Rename(filepath.Join(b.disk, name), filepath.Join(b.store, name)))
		},
	}
}

// scrapeIsCheap looks at a daemon that has been through a lot and does drills: what it shows has the right form, and S3 is not asked
// for it.
func (b *proofBed) scrapeIsCheap(t *testing.T) {
	_, body := b.get(t, "/metrics")
	program, err := proctest.Program("promtool")
	must(t, err)
	check := exec.CommandContext(t.Context(), program, "check", "metrics")
	check.Stdin = strings.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s\n%s", err, out, body)
	}

	if len(b.requests.Requests()) == 0 {
		t.Error("no request to S3 was counted ever")
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: endLimit}
	defer client.CloseIdleConnections()
	// The daemon's own work goes on: if a scrape asked S3, there would be no ten of them without a request.
	eventually(t, "ten scrapes ask S3 for nothing", func() bool {
		asked := len(b.requests.Requests())
		for range 10 {
			res, err := client.Get(b.base + "/metrics")
			must(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			must(t, err)
			must(t, res.Body.Close())
		}
		return len(b.requests.Requests()) == asked
	})
}

// Its drills fail until the object is as it was: the hour has had its new snapshot in the place of a damaged one.
func (b *proofBed) objectIsAltered() breakage {
	var key, good string
	return breakage{
		name:     "object altered",
		alerts:   map[string]string{"EtcdBackupDamaged": firing, "EtcdBackupDrillFailed": firing, "EtcdBackupNotReady": pending},
		tells:    []string{"damage was found in rolling_" + node, "in S3: "},
		log:      "restore drill failed",
		repaired: "restore drill passed",
		do: func(t *testing.T) {
			key = listed(t, b.store)[0].Name.String()
			data, err := os.ReadFile(filepath.Join(b.store, key))
			must(t, err)
			good = string(data)
			data[100] ^= 1
			b.bucket.put(key, string(data)) // as large as before, or the mirror would upload it again
		},
		repair: func(*testing.T) { b.bucket.put(key, good) },
	}
}
