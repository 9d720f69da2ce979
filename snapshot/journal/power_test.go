package journal_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// shutdownRequest is EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN; withoutLog is their flag that what is in memory is lost, as when the power fails.
const (
	shutdownRequest = 0x8004587d
	withoutLog      = 2
)

// disk is a file system that can lose its power.
type disk struct {
	t     testing.TB
	image string
	path  string
}

// newDisk makes one of a type in memory, so that how fast it is does not depend on the machine's own disk.
func newDisk(t testing.TB, kind string) *disk {
	t.Helper()
	ram := filepath.Join(t.TempDir(), "ram")
	d := &disk{t: t, image: filepath.Join(ram, "image"), path: filepath.Join(t.TempDir(), "disk")}
	must(t, os.Mkdir(ram, 0o700))
	must(t, os.Mkdir(d.path, 0o700))
	d.run("mount", "-t", "tmpfs", "-o", "size=600m,mode=700", "tmpfs", ram)
	t.Cleanup(func() { d.run("umount", ram) })
	d.run("truncate", "-s", "512M", d.image)
	d.run("mkfs."+kind, "-q", d.image)
	d.mount()
	t.Cleanup(func() { d.run("umount", d.path) })
	return d
}

func (d *disk) run(program string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil { // also after the test's context
		d.t.Fatalf("%s %q: %v: %s: run this test as root", program, args, err, out)
	}
}

func (d *disk) mount() {
	d.t.Helper()
	d.run("mount", "-o", "loop", d.image, d.path)
	must(d.t, os.MkdirAll(filepath.Join(d.path, "store"), 0o700))
}

// fail loses what is not safe on the disk.
func (d *disk) fail() {
	d.t.Helper()
	f, err := os.Open(d.path)
	must(d.t, err)
	must(d.t, unix.IoctlSetPointerInt(int(f.Fd()), shutdownRequest, withoutLog))
	must(d.t, f.Close())
}

// hindered measures how much too late a goroutine is called that wants to be called often: so much may the recorder be late as well.
func hindered(ctx context.Context) func() time.Duration {
	most := make(chan time.Duration)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		var longest time.Duration
		for ctx.Err() == nil {
			begin := time.Now()
			time.Sleep(10 * time.Millisecond)
			longest = max(longest, time.Since(begin)-10*time.Millisecond)
		}
		most <- longest
	}()
	return func() time.Duration {
		cancel()
		return <-most
	}
}

// If the power fails, what etcd acknowledged in the last --journal-sync is lost, and no more.
func TestPowerLossCostsNoMoreThanTheTimeBetweenSyncs(t *testing.T) {
	const rounds, syncEach = 3, time.Second
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind)
			b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
			b.store = snapshot.NewDir(filepath.Join(d.path, "store"))
			base, from := b.base()
			j := job{Dir: b.store.Path(), Node: "node-a", Endpoint: b.cluster.Members[0].Endpoint, From: from, Sync: syncEach, Seal: 20 * syncEach, SealSize: 8 << 20}
			var acks etcdtest.Acknowledged
			ctx, cancel := context.WithCancel(t.Context())
			var writer sync.WaitGroup
			writer.Go(func() { acks.Put(ctx, b.client, 600) })
			defer writer.Wait()
			defer cancel()
			end := from
			for round := range rounds {
				late := hindered(t.Context())
				p := j.start(t)
				p.reach(end + 1)
				time.Sleep(syncEach*3 + time.Duration(round)*syncEach/4) // when the power fails does not matter
				d.fail()
				now, hindrance := time.Now(), late()
				_ = p.cmd.Process.Kill()
				<-p.end
				_ = p.cmd.Wait() // it may have seen the failure
				d.run("umount", d.path)
				d.mount()
				var err error
				end, _, err = resume(t.Context(), b.store)
				must(t, err)
				lost := acks.Lost(end, now)
				t.Logf("round %d: to revision %d, lost %s, hindered %s", round, end, lost, hindrance)
				if lost > syncEach*2+hindrance { // one for the sync, one for a slow disk; without any sync it would be three
					t.Errorf("round %d: %s lost", round, lost)
				}
				b.equal(base, from)
			}
		})
	}
}
