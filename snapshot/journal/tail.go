package journal

import "context"

const (
	// tailRevisions is how many revisions before the last one a watch shows again, to notice that the cluster was restored under its ID: at the last one
	// alone, it may have the same event again. A deletion is no more than a key.
	tailRevisions = 100
	// tailSize bounds them, in bytes of their events: each connection transfers them again.
	tailSize = 1 << 20
)

// Tail has the digests of the last revisions of a journal. A watch that shows them again must have the same. The zero value has none.
type Tail struct {
	last  int64
	marks []mark // of the revisions up to last
	size  int
}

type mark struct {
	digest string
	size   int
}

// TailFrom is the revision behind which the tail of a journal begins at the earliest.
func TailFrom(last int64) int64 { return max(last-tailRevisions, 1) }

// Add adds the revisions of the next segment that are behind this one. After an error the tail is of no use.
func (t *Tail) Add(ctx context.Context, s *Segment, from int64) error {
	var d digest
	size := 0
	complete := func() {
		if d.revision > 0 {
			t.add(d.revision, mark{d.String(), size})
		}
		size = 0
	}
	err := s.Each(ctx, func(r Record) error {
		if !r.event() || r.Revision <= from {
			return nil
		}
		if r.Revision != d.revision {
			complete()
		}
		d.add(r)
		size += len(r.Data)
		return nil
	})
	complete()
	return err
}

func (t *Tail) add(revision int64, m mark) {
	t.last, t.marks, t.size = revision, append(t.marks, m), t.size+m.size
	for t.size > tailSize {
		t.size -= t.marks[0].size
		t.marks = t.marks[1:]
	}
}

// From is the revision with which the watch must begin to show all of the tail again.
func (t *Tail) From() int64 { return t.last - int64(len(t.marks)) }

// of is the digest of a revision; "": it is not known.
func (t *Tail) of(revision int64) string {
	if i := revision - t.From() - 1; i >= 0 && i < int64(len(t.marks)) {
		return t.marks[i].digest
	}
	return ""
}
