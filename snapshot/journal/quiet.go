package journal

import (
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// QuietNote is what the note next to the segments of a node says: one for the end of each range of revisions, the newest last.
type QuietNote []Quiet

// maxQuiet is how many ranges a note is about.
const maxQuiet = 100

// With is the note with a newer one. again: it is of the same range as the last one, which it replaces.
func (n QuietNote) With(q Quiet, again bool) QuietNote {
	if again && len(n) > 0 {
		n = n[:len(n)-1]
	}
	return append(slices.Clone(n[max(len(n)-maxQuiet+1, 0):]), q)
}

// After returns until when nothing had changed after the last revision of a segment; zero: it says nothing of that segment.
func (n QuietNote) After(m Manifest) (until time.Time) {
	for _, q := range n {
		if at := q.After(m); at.After(until) {
			until = at
		}
	}
	return until
}

// Quiet says until when etcd had no change after a revision. While nobody writes there is no segment that could say it.
type Quiet struct {
	Cluster  snapshot.ID `json:"cluster_id"`
	Revision int64       `json:"revision"`
	Digest   string      `json:"digest"` // of the revision: after a restore, another one has its number
	Until    time.Time   `json:"until"`
}

// pause is how long nothing must have changed before that is worth a note: where etcd is written to all the time, the segments say it all.
const pause = time.Second

// After returns until when nothing had changed after the last revision of a segment; zero: it says nothing of that segment.
func (q Quiet) After(m Manifest) time.Time {
	if q.Revision != m.Last || q.Cluster != m.ClusterID || q.Digest != m.LastDigest || !q.Until.After(m.To) {
		return time.Time{}
	}
	return q.Until
}

// quiet reports a response in which the member has shown that it has nothing after the last revision of the journal. A notice of progress alone moves
// nothing: etcd may send one before the events that it is about, and then its revision is a later one. One that had waited while the recorder stood
// still says nothing of now.
func (r *Recorder) quiet(events int) {
	known := r.joined || r.own.revision == r.last && r.own.String() == r.digest
	behind := !r.stood.IsZero() || r.last < r.head
	if r.o.Quiet == nil || behind || events > 0 || r.size > 0 || r.last == 0 || r.header != r.last || r.came.Sub(r.changed) < pause || !known {
		return
	}
	q := Quiet{Cluster: r.o.ClusterID, Revision: r.last, Digest: r.digest, Until: r.wall(r.came).UTC()}
	if r.out != nil {
		q.Digest = r.out.current.String()
	}
	r.o.Quiet(q)
}
