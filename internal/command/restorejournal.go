package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/restore"
)

// journalReport is what --output json shows of the journal that a restore has used.
type journalReport struct {
	At       string     `json:"at,omitempty"` // as it was asked for
	Revision int64      `json:"revision"`
	Received *time.Time `json:"received,omitempty"` // when that revision was; absent: it is the snapshot's own
	End      int64      `json:"end_revision"`       // of the journal that continues the snapshot without a gap
	EndsAt   *time.Time `json:"end_received,omitempty"`
	// Unchanged is until when nothing had changed after the end, if that is the state.
	Unchanged *time.Time `json:"unchanged_until,omitempty"`
	// Late are the first and the last change behind the moment that were received late, and when: some may have been made before it.
	LateFirst int64      `json:"late_first_revision,omitempty"`
	LateLast  int64      `json:"late_last_revision,omitempty"`
	LateAt    *time.Time `json:"late_received,omitempty"`
	Beyond    int64      `json:"beyond_revision,omitempty"` // the newest one behind a gap after the end
	Restored  *time.Time `json:"restored_by,omitempty"`     // the cluster was restored after this state, not later than then; absent: it was not
	Segments  int        `json:"segments"`
	Places    []string   `json:"places,omitempty"`
}

func (r *restoring) journalReport() *journalReport {
	c := r.from.Journal
	if c == nil && r.idle() {
		revision := r.in.Manifest.Revision
		return &journalReport{At: r.o.At.Text, Revision: revision, End: revision, Unchanged: known(r.from.Unchanged)}
	}
	if c == nil {
		return nil
	}
	report := &journalReport{
		At: r.o.At.Text, Revision: c.Revision, Received: known(c.At), End: c.End, EndsAt: known(c.EndAt), Unchanged: known(c.Unchanged), Beyond: c.Beyond, Restored: known(c.Restored),
		Segments: len(c.Segments), Places: c.Places,
	}
	if c.Late != nil {
		report.LateFirst, report.LateLast, report.LateAt = c.Late.First, c.Late.Last, &c.Late.At
	}
	return report
}

// idle reports that nothing had changed after the snapshot, so that it is all that the journal could restore.
func (r *restoring) idle() bool { return r.in.Manifest != nil && !r.from.Unchanged.IsZero() }

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// withJournal adds the journal to the options.
func (r *restoring) withJournal() {
	if c := r.from.Journal; c != nil && (len(c.Segments) > 0 || !r.o.At.Newest()) {
		r.o.Journal = &restore.Journal{Revision: c.Revision, Size: c.Size, Merge: c.Merge}
	}
}

// raise makes --kubernetes exceed every revision that a client may have seen: of the cluster as it is now, or as it was before another restore. For a
// snapshot alone it raises in steps, because members that know different snapshots must come to the same number.
func (r *restoring) raise(m *snapshot.Manifest) {
	c, most, own := r.from.Journal, int64(config.KubernetesBump), int64(0)
	if m != nil { // otherwise the revision is known only when it is unpacked
		own = m.Revision
	}
	if c != nil {
		own = c.Revision
	}
	switch {
	case !r.o.Kubernetes:
	case r.from.Highest == own+most && r.replaced.Revision == own+most: // a restore of this very state, after which nothing was written
	case c != nil:
		r.o.BumpRevision += uint64(max(0, r.from.Highest-c.Revision))
	case r.from.Highest-own > most/2:
		steps := (r.from.Highest - own + most/2) / most
		r.o.BumpRevision += uint64(steps * most) //nolint:gosec // positive
		r.note("the revision is raised by %d, because the cluster had revision %d already; all members must have the same number: where --kubernetes raises by another one, "+
			"give --bump-revision %d --mark-compacted", r.o.BumpRevision, r.from.Highest, r.o.BumpRevision)
	}
}

// announceJournal says which state it is, and what is lost.
func (r *restoring) announceJournal(out *printer, now time.Time) {
	c := r.from.Journal
	unchanged := func(until time.Time) {
		out.line("  nothing changed after it until %s, where the journal ends: what was written later is lost", until.UTC().Format(time.DateTime+" UTC"))
	}
	if c == nil {
		if r.idle() {
			unchanged(r.from.Unchanged)
		}
		return
	}
	when := ""
	if !c.At.IsZero() {
		when = fmt.Sprintf(", received %s (%s)", c.At.UTC().Format(time.DateTime+" UTC"), humanize.RelTime(c.At, now, "ago", "from now"))
	}
	if t := r.o.At.Time; !t.IsZero() {
		out.line("  asked for: %s", t.UTC().Format(time.DateTime+".999 UTC"))
	}
	switch {
	case len(c.Segments) > 0:
		out.line("  continued by the journal in %s to revision %d%s", english.OxfordWordSeries(c.Places, "and"), c.Revision, when)
	case r.o.At.Newest():
		out.line("  nothing in the journal continues it")
	default:
		out.line("  its own revision %d is the state that is asked for", c.Revision)
	}
	if !c.Restored.IsZero() {
		out.line("  %s: what was written after the restore is not restored", c.History())
	}
	lost, ends := c.End-c.Revision, c.EndAt.UTC().Format(time.DateTime+" UTC")
	switch {
	case c.Beyond > 0 && !r.o.At.Newest():
		out.line("  not restored: what came after it, up to revision %d; the journal has a gap or damage behind revision %d", c.Beyond, c.End)
	case lost > 0 && c.Beyond == 0:
		out.line("  not restored: %s after it, until %s, where the journal ends", english.Plural(int(lost), "revision", "revisions"), ends)
	case c.Beyond == 0 && !c.Unchanged.IsZero():
		unchanged(c.Unchanged)
	case c.Beyond == 0 && len(c.Segments) > 0:
		out.line("  the journal ends there: what was written later is lost")
	}
}

// warnOfMoment says that more is recorded than can be restored, or that some of it may be from before the moment.
func (r *restoring) warnOfMoment() {
	c := r.from.Journal
	if c != nil && c.Late != nil {
		r.warn("%s", c.Late)
	}
	if c == nil || c.Beyond == 0 || !r.o.At.Newest() {
		return
	}
	r.warn("the journal has a gap or damage behind revision %d: later revisions, up to %d, are recorded and can't be restored; look for the missing or damaged "+
		"segment in another place: list and verify show which it is", c.End, c.Beyond)
}

// learn notes what turned out not to lead to the state that is asked for; false: nothing else can be tried.
func learn(ask *source.Request, p *source.Opened, err error) bool {
	if p.Journal == nil {
		return false
	}
	if errors.Is(err, journal.ErrRevision) && ask.At.Newest() { // the snapshot has all that the journal has, and more
		ask.At = &config.At{Text: ask.At.Text, Base: true}
		return true
	}
	if errors.Is(err, journal.ErrRevision) && ask.Reference == snapshot.Latest { // the snapshot was compacted behind its own revision
		ask.SkipBases = append(ask.SkipBases, p.Snapshot)
		return true
	}
	if bad, ok := p.Journal.Skip(err); ok {
		ask.SkipSegments = append(ask.SkipSegments, bad)
		return true
	}
	return false
}

// sameFlags are those that are the same on all members, with what the others would compute from the snapshots and the journal as they find them.
func (r *restoring) sameFlags(p *restore.Plan) (words []string) {
	for _, w := range r.o.SameFlags {
		if w == "--kubernetes" && (r.from.Journal != nil || r.o.BumpRevision != config.KubernetesBump) {
			words = append(words, "--bump-revision", strconv.FormatUint(r.o.BumpRevision, 10), "--mark-compacted")
			continue
		}
		words = append(words, w)
	}
	if r.from.Journal != nil && !slices.Contains(words, "--initial-cluster-token") {
		words = append(words, "--initial-cluster-token", p.Cluster.Token)
	}
	return words
}

// fromBucket reports that the other members find all of what this one is restored from in the bucket.
func (r *restoring) fromBucket() bool {
	return r.from.From == config.S3 && (r.from.Journal == nil || !slices.ContainsFunc(r.from.Journal.Places, func(place string) bool { return place != r.from.Place }))
}

// saveMoment stores the state as a snapshot if other members must be restored to it, and can't find it in the bucket.
func (r *restoring) saveMoment(ctx context.Context, p *restore.Plan) {
	c, m := r.from.Journal, r.in.Manifest
	if c == nil || m == nil || len(c.Segments) == 0 || len(p.Cluster.Peers) < 2 || r.fromBucket() {
		return
	}
	source := m.Source
	source.Revision, source.RaftIndex, source.Keys, source.DBSizeInUse = c.Revision, 0, snapshot.Count{}, 0
	dir := snapshot.NewDir(r.cfg.Store.Dir)
	o := snapshot.TakeOptions{ToolVersion: r.version, Stall: saveStall, Replace: true, Node: m.Node, Named: func(time.Time) (snapshot.Name, error) {
		return snapshot.NewName(fmt.Sprintf("at-%d", c.Revision), m.Node, c.At) // its time is that of the state: it is not the newest snapshot
	}}
	taken, err := p.Save(ctx, dir, source, o)
	if err != nil {
		r.warn("the state at revision %d was not saved for the other members: %s", c.Revision, line(err))
		return
	}
	r.moment = filepath.Join(dir.Path(), taken.Name.String())
}

// saveStall is how long nothing is read from a file on the disk before that is an error.
const saveStall = 5 * time.Minute
