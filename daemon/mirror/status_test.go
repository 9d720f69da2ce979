package mirror_test

import (
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

func namesOf(copies []status.Copy) []snapshot.Name {
	var out []snapshot.Name
	for _, c := range copies {
		out = append(out, c.Name)
	}
	return out
}

// The status knows what the bucket holds of this node and what a pass has done. What was taken with --no-mirror is never pending.
func TestStatusFollowsAPass(t *testing.T) {
	names := hourly(t, node, 1, 2, 3)
	dir := directory(t, names...)
	stays, goes := name(t, "stays-here", node, midnight), name(t, "manual", node, midnight)
	put(t, dir, stays, archive(t, 1, 7, true))
	put(t, dir, goes, usual(t))
	b := newBucket().fill(t, append(hourly(t, "gone", 0, 1), hourly(t, node, 0, 1)...)...)
	o := options(2)
	o.OrphanAfter, o.Status = 1, tracker()
	var pending []snapshot.Name
	b.before = func(snapshot.Name) error { // as it was before the first upload
		if pending == nil {
			pending = o.Status.State().Mirror.Pending
		}
		return nil
	}
	done, err := mirror.Pass(t.Context(), dir, b, o, today)
	if err != nil || len(done.Removed) != 3 || done.Pending != 0 || !done.Listed {
		t.Fatalf("%+v, %v", done, err)
	}
	wantNames(t, "pending before the first upload", textsOf(pending), []snapshot.Name{names[2], names[1], goes})
	s := o.Status.State()
	wantNames(t, "in S3 as the status knows it", textsOf(namesOf(s.Places[status.S3].Copies)), []snapshot.Name{names[2], names[1], goes})
	if c := s.Counters; c.Uploads != 3 || c.UploadedBytes != 3*int64(len(usual(t))) || c.Pruned[status.S3] != 2 || len(s.Mirror.Pending) != 0 {
		t.Errorf("counted %+v, mirror %+v", c, s.Mirror)
	}
	// The newest that lay there proves an earlier pass.
	if j := s.Jobs[status.Mirror]; !j.Success.Equal(midnight.Add(time.Hour)) {
		t.Errorf("%+v", j)
	}
}

func TestStatusFollowsAPassThatFails(t *testing.T) {
	names := hourly(t, node, 1, 2)
	b := newBucket()
	b.budget = 2 // the list and one archive
	o := options(2)
	o.Status = tracker()
	if done, err := mirror.Pass(t.Context(), directory(t, names...), b, o, today); err == nil || done.Pending != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	s := o.Status.State()
	if m := s.Mirror; !slices.Equal(m.Pending, names[:1]) || !m.PendingSince.Equal(today) {
		t.Errorf("%+v", m)
	}
	if i := s.Places[status.S3]; !i.Listed || !slices.Equal(namesOf(i.Copies), names[1:]) || s.Counters.Uploads != 1 {
		t.Errorf("%+v, counted %+v", i, s.Counters)
	}
}

// A snapshot that is set aside or removed after the pass has listed it does not keep S3 behind.
func TestSnapshotThatIsGoneIsNotPending(t *testing.T) {
	names := hourly(t, node, 1, 2)
	dir := directory(t, names...)
	o := options(2)
	o.Status = tracker()
	b := newBucket()
	b.before = func(n snapshot.Name) error { // of which the newest comes first
		if n == names[1] {
			return dir.Remove(t.Context(), names[0])
		}
		return nil
	}
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || done.Pending != 0 || len(done.Uploaded) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if m := o.Status.State().Mirror; len(m.Pending) != 0 || !m.PendingSince.IsZero() {
		t.Errorf("%+v", m)
	}
}

// Who knows the schedule can store something under the next name in advance. The snapshot takes its place, and that is a problem for a day.
func TestTakenNameIsReportedAndStoredOver(t *testing.T) {
	other := archive(t, 5, 7, false)
	for what, tc := range map[string]struct {
		planted []byte
		want    bool
	}{
		"another size": {other, true}, "the same size and another revision": {archive(t, 4, 8, false), true}, "no archive": {[]byte("x"), true}, "our own": {usual(t), false},
	} {
		t.Run(what, func(t *testing.T) {
			n := hourly(t, node, 22)[0]
			dir, b, o := directory(t, n), newBucket(), options(2)
			b.objects[n.String()] = tc.planted
			o.Status = tracker()
			done, err := mirror.Pass(t.Context(), dir, b, o, today)
			if err != nil || len(done.Taken) > 0 != tc.want || !slices.Equal(b.objects[n.String()], usual(t)) {
				t.Fatalf("%+v, %v", done, err)
			}
			reported := func(at time.Time) bool {
				return slices.ContainsFunc(o.Status.State().Problems(at), func(p status.Problem) bool { return p.Code == status.CodeNameTaken })
			}
			o.Status.SetInventory(status.Local, nil, nil)
			if reported(today.Add(time.Hour)) != tc.want || reported(today.Add(25*time.Hour)) {
				t.Errorf("%v", o.Status.State().Problems(today.Add(time.Hour)))
			}
		})
	}
}
