package journal_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/journal"
)

// Whether the values up to the compaction fit in memory or not: of each key the last one is kept, and all that are after it.
func TestMergeCompactsFewAndManyValues(t *testing.T) {
	const compacted, last, keys = 100, 120, 90
	for name, size := range map[string]int{"few": 10, "many": 600_000} {
		value := func(revision int64) string { return fmt.Sprintf("%0*d", size, revision) }
		var b bytes.Buffer
		h := header(5)
		w, err := journal.NewWriter(&b, h)
		must(t, err)
		must(t, w.Write(put(t, 5, "key-5", "old")))
		must(t, w.Write(put(t, 6, "key-6", "value-36")))
		must(t, w.Write(journal.Record{Kind: journal.KindDelete, Revision: 6, Data: []byte("gone")}))
		for r := int64(7); r <= last; r++ {
			must(t, w.Write(put(t, r, fmt.Sprintf("key-%d", r%keys), value(r))))
		}
		must(t, w.Write(journal.Record{Kind: journal.KindCompaction, Revision: compacted}))
		must(t, w.Checkpoint(noon, false))
		_, err = w.Finish()
		must(t, err)
		s, err := journal.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
		must(t, err)
		path, m, err := merge(t, six(t), []*journal.Segment{s}, 0)
		must(t, err)
		if m.Compacted != compacted || m.Revision != last || m.Events != last-6 {
			t.Errorf("%s: %+v", name, m)
		}
		got := entries(t, path)
		want := 0
		for r := int64(7); r <= last; r++ {
			v, there := got[string(etcdtest.Revision(uint64(r), 0))]
			if kept := r > compacted || r+keys > compacted; kept != there || there && !strings.Contains(v, value(r)) {
				t.Errorf("%s: revision %d is there: %t", name, r, there)
			} else if kept {
				want++
			}
		}
		if len(got) != want {
			t.Errorf("%s: %d entries, not %d", name, len(got), want)
		}
	}
}
