package drill

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"testing/fstest"
)

// The limits that we ship skip no drill of a database that etcd allows: 2 GiB is its default quota, 8 GiB the recommended maximum. A small
// record takes 70 bytes of the file, and an object of Kubernetes more than 300, such as a lease. What then may still skip a drill is the
// machine's own memory.
func TestOurLimitsSkipNoDrillOfADatabaseThatEtcdAllows(t *testing.T) {
	const gib = int64(1) << 30
	databases := []struct{ size, keys int64 }{{2 * gib, 2 * gib / 70}, {8 * gib, 28_000_000}, {8 * gib, 8 << 10}}
	for file, pattern := range map[string]string{
		"../../systemd/etcd-rolling-backup.service":                      `(?m)^MemoryMax=(\d+)G$`,
		"../../packaging/kubernetes/base/daemonset.yaml":                 `(?m)^ +limits:\n(?: +#.*\n)* +memory: (\d+)Gi$`,
		"../../packaging/kubernetes/static-pod/etcd-rolling-backup.yaml": `(?m)^ +limits:\n(?: +#.*\n)* +memory: (\d+)Gi$`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Errorf("%s has no limit of the form %s", file, pattern)
			continue
		}
		limit, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		// The daemon and the kernel's own memory for it; the page cache of the files that a drill writes fills the rest, and counts as free.
		const used = 128 << 20
		cache := limit*gib - used
		has, where, _ := available(fstest.MapFS{
			"proc/meminfo":                 {Data: []byte("MemAvailable: 999999999 kB\n")},
			"proc/self/cgroup":             {Data: []byte("0::/\n")},
			"sys/fs/cgroup/memory.max":     {Data: fmt.Append(nil, limit*gib)},
			"sys/fs/cgroup/memory.current": {Data: fmt.Append(nil, limit*gib)},
			"sys/fs/cgroup/memory.stat":    {Data: fmt.Appendf(nil, "inactive_file %d\nactive_file %d\n", cache/2, cache/2)},
		})
		for _, db := range databases {
			if need := max(needs(db.size).memory, needsMemory(db.size, db.keys)); has < need {
				t.Errorf("%s: a database of %s with %d keys needs %s; %s has %s", file, size(db.size), db.keys, size(need), where, size(has))
			}
		}
	}
}
