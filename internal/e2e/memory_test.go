package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// largeBytes is the size of a database far beyond what save may hold in memory.
const largeBytes = 128 << 20

// The memory is logged and not judged: the benchmark does that, on a quiet machine.
func TestSaveOfALargeDatabaseIsValid(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.BulkOptions(etcdtest.Default, largeBytes))
	_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: largeBytes, Seed: 5})
	must(t, err)
	dir := newStore(t)
	p := launch(t, exec.Command(lean, words("save", store(dir), flags(c, c.Members[0].Endpoint))...))
	peak := ""
	eventually(t, "save had ended", func() bool {
		// The kernel's own sum, rusage, is no help: it begins with the memory of the process that forked.
		text, err := os.ReadFile(filepath.Join("/proc", pid(p), "status"))
		if _, rest, ok := strings.Cut(string(text), "VmHWM:"); err == nil && ok {
			peak, _, _ = strings.Cut(rest, "\n")
		}
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	p.demand(t, 0)
	e := listed(t, dir)[0]
	t.Logf("peak memory %s (promised: under 64 MiB) for a database of %d MiB, archive of %d MiB", strings.TrimSpace(peak), largeBytes>>20, e.Size>>20)
	wantWhole(t, dir, 1)
}
