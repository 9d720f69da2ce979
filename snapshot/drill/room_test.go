package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"etcd-rolling-backup/snapshot"
)

func TestAvailable(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
		where string
	}{
		"nothing can be read": {nil, -1, ""},
		"the machine":         {map[string]string{"proc/meminfo": "MemTotal: 100 kB\nMemAvailable:  7 kB\n"}, 7 << 10, "the machine"},
		"v2, the parent is the tightest": {map[string]string{
			"proc/meminfo":                                             "MemAvailable: 9999999 kB\n",
			"proc/self/cgroup":                                         "0::/system.slice/backup.service\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "1000\n",
			"sys/fs/cgroup/system.slice/memory.current":                "900\n",
			"sys/fs/cgroup/system.slice/memory.stat":                   "anon 5\ninactive_file 300\nactive_file 100\n",
			"sys/fs/cgroup/system.slice/backup.service/memory.max":     "max\n",
			"sys/fs/cgroup/system.slice/backup.service/memory.current": "100\n",
		}, 500, "the cgroup /sys/fs/cgroup/system.slice"},
		"v2 in a container, memory.high": {map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "5000\n",
			"sys/fs/cgroup/memory.high":    "4000\n",
			"sys/fs/cgroup/memory.current": "1000\n",
		}, 3000, "the cgroup /sys/fs/cgroup"},
		"v1 limits do not count": {map[string]string{
			"proc/meminfo":     "MemAvailable: 9 kB\n",
			"proc/self/cgroup": "4:memory:/docker/1\n0::/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
		}, 9 << 10, "the machine"},
		"the machine has less than the cgroup allows": {map[string]string{
			"proc/meminfo":                 "MemAvailable: 1 kB\n",
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "5000\n",
			"sys/fs/cgroup/memory.current": "1000\n",
		}, 1 << 10, "the machine"},
		"more used than allowed": {map[string]string{
			"proc/self/cgroup":             "0::/../..\n",
			"sys/fs/cgroup/memory.max":     "5\n",
			"sys/fs/cgroup/memory.current": "10\n",
		}, 0, "the cgroup /sys/fs/cgroup"},
		"garbage": {map[string]string{"proc/meminfo": "MemAvailable: many\n", "proc/self/cgroup": "\n\nx\n::\n"}, -1, ""},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		n, where, known := available(root)
		if !known {
			n = -1
		}
		if n != c.want || where != c.where {
			t.Errorf("%s: %d of %q, want %d of %q", name, n, where, c.want, c.where)
		}
	}
	if n, where, known := available(os.DirFS("/")); !known || n <= 0 || where == "" {
		t.Errorf("here: %d, %q, %t", n, where, known)
	}
}

func TestKilledChildCountsAsSkipped(t *testing.T) {
	root := func(vmstat string) fs.FS { return fstest.MapFS{"proc/vmstat": {Data: []byte(vmstat)}} }
	if n, ok := oomKills(root("oom_kill_disable 1\noom_kill 7\n")); n != 7 || !ok {
		t.Errorf("%d kills, known %t", n, ok)
	}
	if n, ok := oomKills(root("pgfault 1\n")); ok {
		t.Errorf("%d kills where none are counted", n)
	}
	for text, err := range map[string]error{
		"the kernel killed its process":       outOfMemory(1, true),
		"although the kernel reports no kill": outOfMemory(0, true),
		"most likely because memory ran out":  outOfMemory(0, false),
	} {
		if !errors.Is(err, ErrMemory) || !errors.Is(err, ErrSkipped) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want ErrMemory and %q", err, text)
		}
	}
	for signal, want := range map[string]bool{"KILL": true, "TERM": false} {
		err := exec.CommandContext(t.Context(), "sh", "-c", "kill -"+signal+" $$").Run()
		if killed(err) != want {
			t.Errorf("after SIG%s: %v counts as killed: %t", signal, err, !want)
		}
	}
	if killed(errors.New("signal: killed")) || killed(exec.CommandContext(t.Context(), "false").Run()) {
		t.Error("a failure counts as killed")
	}
}

func TestLowDiskOrMemorySkipsDrill(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	must(t, enough(dir, 1, needs(1<<20)))
	for text, err := range map[string]error{
		"of disk":   enough(dir, 0, room{disk: math.MaxInt64 / 2}),
		"keeps":     enough(dir, math.MaxInt64/2, room{}),
		"of memory": enough(dir, 0, room{memory: math.MaxInt64}),
	} {
		if !errors.Is(err, ErrSkipped) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	const gib = 1 << 30
	if few, many := needsMemory(gib, 1000), needsMemory(gib, 4<<20); few != needs(gib).memory || many < gib {
		t.Errorf("1 GiB of few keys takes %d bytes, of many %d", few, many)
	}
	if err := enough(snapshot.NewDir("/no/such/directory"), 0, room{}); err == nil || errors.Is(err, ErrSkipped) {
		t.Errorf("no directory: %v", err)
	}
}

// With a limit of 2 GiB, a database of 8 GiB needs a little more.
func TestDrillSkippedByALimitSaysHowToRaiseIt(t *testing.T) {
	const gib = 1 << 30
	unit := fstest.MapFS{
		"proc/meminfo":     {Data: []byte("MemAvailable: 16000000 kB\n")},
		"proc/self/cgroup": {Data: []byte("0::/system.slice/etcd-rolling-backup.service\n")},
		"sys/fs/cgroup/system.slice/etcd-rolling-backup.service/memory.max":     {Data: []byte("2147483648\n")},
		"sys/fs/cgroup/system.slice/etcd-rolling-backup.service/memory.current": {Data: []byte("33554432\n")},
	}
	err := enoughMemoryOf(unit, needs(8*gib).memory)
	want := "it needs 2.1 GiB of memory for a while; the cgroup /sys/fs/cgroup/system.slice/etcd-rolling-backup.service has 2.0 GiB available: " +
		"raise its limit by at least 96 MiB (systemd: MemoryMax=, Kubernetes: resources.limits.memory, Docker: --memory)"
	if !errors.Is(err, ErrMemory) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
	must(t, enoughMemoryOf(unit, needs(7*gib).memory))
	unit["proc/meminfo"] = &fstest.MapFile{Data: []byte("MemAvailable: 1000 kB\n")}
	if err := enoughMemoryOf(unit, needs(gib).memory); !errors.Is(err, ErrMemory) || strings.Contains(err.Error(), "MemoryMax") {
		t.Errorf("a machine that is too small: %v", err)
	}
}

// Leftovers of dead drills are removed; running drills and everything else stay.
func TestRemoveLeftovers(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	living, err := newScratch(dir.Path())
	must(t, err)
	dead, err := newScratch(dir.Path())
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dead.path, "data"), 0o700))
	must(t, dead.lock.Close())
	must(t, os.Mkdir(filepath.Join(dir.Path(), ".drill-1"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir.Path(), ".drill-file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir.Path(), "drill"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir.Path(), ".drill-sergeant"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir.Path(), ".drill-"), 0o700))

	if info, err := os.Stat(living.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	l, err := dir.List()
	must(t, err)
	if want := "[.drill- .drill-file .drill-sergeant drill]"; fmt.Sprint(l.Foreign) != want {
		t.Errorf("foreign are %v, want %s", l.Foreign, want)
	}
	removed, err := RemoveLeftovers(dir)
	must(t, err)
	if len(removed) != 2 {
		t.Errorf("removed %v", removed)
	}
	if _, err := os.Stat(living.path); err != nil {
		t.Error(err)
	}
	must(t, living.remove())
	rest, err := os.ReadDir(dir.Path())
	must(t, err)
	if len(rest) != 4 {
		t.Errorf("left are %v", rest)
	}
	if _, err := RemoveLeftovers(snapshot.NewDir("/no/such/directory")); err == nil {
		t.Error("no error for a missing directory")
	}
}

// Creating and removing at the same time: nobody loses a directory that is in use.
func TestScratchRace(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	done := make(chan struct{})
	defer close(done)
	for range 2 {
		go func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = RemoveLeftovers(dir) // may meet what another one is removing
				}
			}
		}()
	}
	for range 300 {
		s, err := newScratch(dir.Path())
		must(t, err)
		if _, err := os.Stat(s.path); err != nil {
			t.Fatal(err)
		}
		must(t, s.remove())
	}
}
