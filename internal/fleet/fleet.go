// Package fleet says of every node that stores snapshots in a bucket how its backups are, with the rights to list and to read.
//
// Invariants: it changes nothing. Memory grows with the number of nodes, and not with that of snapshots: of the listing it holds one page,
// and of each node a few names. Times are compared with the server's clock, because the one of this machine may be wrong.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// Options of a look at the fleet.
type Options struct {
	MaxAge  time.Duration // of the newest snapshot, for every node; 0: the node's own rhythm decides
	AnyNode bool          // a node is not late while another one of its cluster is in time
	Verify  bool          // read the newest snapshot of each node in full
}

// State is the verdict on one node.
type State string

// The states, the worst first.
const (
	Damaged    State = "damaged"    // the newest snapshot, or its manifest
	Late       State = "late"       // the newest snapshot is older than the limit
	Unreadable State = "unreadable" // the newest snapshot could not be read
	Unknown    State = "unknown"    // too few snapshots to know the rhythm, and no limit is given
	Idle       State = "idle"       // late, but another node of the cluster is in time
	OK         State = "ok"
)

// States are all of them, the worst first.
func States() []State { return []State{Damaged, Late, Unreadable, Unknown, Idle, OK} }

// Row is one node of one cluster.
type Row struct {
	State     State          `json:"state"`
	Folder    string         `json:"folder"`
	ClusterID snapshot.ID    `json:"cluster_id,omitempty"` // 0: not known
	Node      string         `json:"node"`                 // "": rke-tools' names do not say it
	Newest    snapshot.Name  `json:"newest"`               // the scheduled one, if there is one
	Time      time.Time      `json:"time"`                 // when it was taken
	Age       int64          `json:"age_seconds"`
	Size      int64          `json:"size"`               // of it
	RawSize   int64          `json:"raw_size,omitempty"` // of the database in it; 0: not known
	Revision  int64          `json:"revision,omitempty"`
	Keys      snapshot.Count `json:"keys,omitzero"`   // live keys
	Kept      int            `json:"kept"`            // scheduled snapshots
	Manual    int            `json:"manual"`          // those that somebody took
	Bytes     int64          `json:"bytes"`           // of all of them
	Every     int64          `json:"every_seconds"`   // the node's own rhythm; 0: not known
	Limit     int64          `json:"limit_seconds"`   // the age from which the newest one is late; 0: none
	Verified  bool           `json:"verified"`        // it was read in full and is intact
	Notes     []string       `json:"notes,omitempty"` // for people
}

// Report is all there is in a bucket.
type Report struct {
	Place     string        `json:"place"`
	At        time.Time     `json:"at"`    // by the server's clock
	Nodes     []Row         `json:"nodes"` // those with problems first
	States    map[State]int `json:"states"`
	Clusters  int           `json:"clusters"`
	Snapshots int           `json:"snapshots"`
	Bytes     int64         `json:"bytes"`         // of all snapshots
	Others    int           `json:"other_files"`   // snapshots that other programs or users named, which are not judged
	Foreign   int           `json:"foreign_files"` // anything else
}

// Err is the verdict on the fleet: it wraps snapshot.ErrDamaged if a snapshot is, and snapshot.ErrNotFound if there is none at all.
func (r Report) Err() error {
	if len(r.Nodes) == 0 {
		return &verdict{snapshot.ErrNotFound, fmt.Sprintf("%s has no snapshots of this program: is --s3-folder right? There are %s of other programs and %s",
			r.Place, english.Plural(r.Others, "snapshot", ""), english.Plural(r.Foreign, "other file", ""))}
	}
	var texts []string
	problems := 0
	for _, s := range []State{Damaged, Late, Unreadable} {
		if n := r.States[s]; n > 0 {
			problems += n
			texts = append(texts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if problems == 0 {
		return nil
	}
	err := &verdict{text: fmt.Sprintf("%d of %s with problems: %s", problems, english.Plural(len(r.Nodes), "node", ""), strings.Join(texts, ", "))}
	if r.States[Damaged] > 0 {
		err.class = snapshot.ErrDamaged
	}
	return err
}

// verdict has a class, or none, and not its text.
type verdict struct {
	class error
	text  string
}

func (e *verdict) Error() string { return e.text }
func (e *verdict) Unwrap() error { return e.class }

// Look lists the bucket, and reads of each node up to three manifests.
func Look(ctx context.Context, b *s3.Bucket, place string, o Options) (Report, error) {
	c := &collector{now: b.ServerTime}
	if err := b.Walk(ctx, c.restart, c.visit); err != nil {
		return Report{}, err
	}
	now := b.ServerTime()
	parts, err := split(ctx, b, c.sorted(), now)
	if err != nil {
		return Report{}, err
	}
	if o.Verify {
		if err := verify(ctx, b, parts); err != nil {
			return Report{}, err
		}
	}
	r := Report{
		Place: place, At: now.UTC().Truncate(time.Second), Nodes: []Row{}, States: map[State]int{},
		Snapshots: c.objects, Bytes: c.bytes, Others: c.others, Foreign: c.foreign,
	}
	for _, p := range parts {
		r.Nodes = append(r.Nodes, p.row(now, o))
	}
	if o.AnyNode {
		r.excuse()
	}
	r.sum()
	return r, nil
}

// row judges one node.
func (p *part) row(now time.Time, o Options) Row {
	shown := p.shown()
	m := p.origin
	r := Row{
		State: OK, Folder: p.folder, Node: p.node, Newest: shown.Name, Time: shown.Name.Time, Size: shown.Size, Kept: p.kept, Manual: p.manual, Bytes: p.bytes,
		ClusterID: m.ClusterID, RawSize: m.RawSize, Revision: m.Revision, Keys: m.Keys, Verified: p.verified,
		Age: int64(max(now.Sub(shown.Name.Time), 0) / time.Second),
	}
	rhythm := RhythmOf(p.times())
	if o.MaxAge > 0 {
		rhythm.Limit = o.MaxAge
	}
	r.Every, r.Limit = int64(rhythm.Every/time.Second), int64(rhythm.Limit/time.Second)
	if p.several {
		r.note("another cluster uses this node name in the same folder")
	}
	if p.future.Name != (snapshot.Name{}) {
		r.note("%s is dated in the future: the clock of the node was wrong", p.future.Name)
	}
	failed := cmp.Or(p.err, p.damage)
	switch {
	case errors.Is(failed, snapshot.ErrDamaged):
		r.State = Damaged
		r.note("%s", failed)
	case shown.Name.Time.After(now.Add(ahead)):
		r.State = Unknown
	case rhythm.Limit > 0 && now.Sub(shown.Name.Time) > rhythm.Limit:
		r.State = Late
		r.note("older than %s", Shortly(rhythm.Limit))
	case failed != nil:
		r.State = Unreadable
		r.note("%s", failed)
	case rhythm.Limit == 0:
		r.State = Unknown
	}
	if o.Verify && !p.verified && failed == nil {
		r.note("not verified: without a manifest, only verify can do that")
	}
	return r
}

// Shortly is a duration for people, such as 2h5m.
func Shortly(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (r *Row) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// cluster is what nodes of one cluster have in common.
type cluster struct {
	folder string
	id     snapshot.ID
}

func (r Row) cluster() cluster { return cluster{r.Folder, r.ClusterID} }

// excuse makes late nodes idle where another node of the cluster is in time.
func (r *Report) excuse() {
	inTime := map[cluster]string{}
	for _, x := range r.Nodes {
		if x.State == OK && x.ClusterID != 0 {
			inTime[x.cluster()] = x.Node
		}
	}
	for i := range r.Nodes {
		x := &r.Nodes[i]
		if node, ok := inTime[x.cluster()]; ok && x.State == Late {
			x.State = Idle
			x.note("late, but node %s of the cluster is in time", node)
		}
	}
}

// sum counts the states, and sorts: problems first.
func (r *Report) sum() {
	clusters := map[cluster]bool{}
	known := map[string]bool{} // folders with a cluster that is known: what else is in them is probably of it
	for _, s := range States() {
		r.States[s] = 0
	}
	for _, x := range r.Nodes {
		r.States[x.State]++
		known[x.Folder] = known[x.Folder] || x.ClusterID != 0
	}
	for _, x := range r.Nodes {
		if x.ClusterID != 0 || !known[x.Folder] {
			clusters[x.cluster()] = true
		}
	}
	r.Clusters = len(clusters)
	rank := func(x Row) int { return slices.Index(States(), x.State) }
	slices.SortStableFunc(r.Nodes, func(a, b Row) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.Node, b.Node), cmp.Compare(a.ClusterID, b.ClusterID))
	})
}
