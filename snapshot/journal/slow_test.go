package journal_test

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/fusetest"
	"etcd-rolling-backup/snapshot"
)

// recorderMemory is what a recorder may take at any write rate and value size, bytes.
const recorderMemory = 96 << 20

// memory is the peak of the process's own memory, which the returned function ends to sample.
func (p *process) memory() (peak func() int64) {
	end, most := make(chan struct{}), make(chan int64)
	go func() {
		var kib int64
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			status, _ := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status") // empty when it has ended
			for line := range strings.Lines(string(status)) {
				if text, ok := strings.CutPrefix(line, "RssAnon:"); ok {
					n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
					kib = max(kib, n)
				}
			}
			select {
			case <-end:
				tick.Stop()
				most <- kib << 10
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-most
	}
}

// A disk that takes long for each write slows the watch down. etcd goes on, nothing is missing, and what waits does not wait in memory.
func TestSlowDiskSlowsTheRecorderDownInLittleMemory(t *testing.T) {
	var slow atomic.Bool
	dir := fusetest.Mount(t, fusetest.Options{Fail: func(op fusetest.Op, _ string) syscall.Errno {
		if slow.Load() && (op == fusetest.Write || op == fusetest.Fsync) {
			time.Sleep(5 * time.Millisecond)
		}
		return 0
	}})
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	base, from := b.base()
	b.store = snapshot.NewDir(dir)
	j := job{Dir: dir, Node: "node-a", Endpoint: b.cluster.Members[0].Endpoint, From: from, Sync: time.Second, Seal: 2 * time.Second, SealSize: 8 << 20}
	p := j.start(t)
	put := func(i int) int64 {
		value := bytes.Repeat([]byte{byte(i)}, 1_500_000)
		for at := 0; at < len(value); at += 64 { // does not compress well
			value[at] = byte(i * at >> 6)
		}
		r, err := b.client.Put(t.Context(), "large", string(value))
		must(t, err)
		return r.Header.Revision
	}
	p.reach(put(0))
	slow.Store(true)
	peak := p.memory()
	var last int64
	for i := range 100 {
		last = put(i)
	}
	p.reach(last)
	if n := peak(); n > recorderMemory {
		t.Errorf("the recorder took %d MiB", n>>20)
	} else {
		t.Logf("%d MiB", n>>20)
	}
	slow.Store(false)
	p.kill()
	_, _, err := resume(t.Context(), b.store)
	must(t, err)
	if m := b.equal(base, from); m.Revision != last {
		t.Errorf("the journal ends at revision %d, not %d", m.Revision, last)
	}
}
