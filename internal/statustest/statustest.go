// Package statustest makes states for tests: what a daemon that has run for a while reports to its [status.Tracker].
//
// All times come from the test's clock, so the states are always the same.
package statustest

import (
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// Binary sizes in bytes.
const (
	KiB = int64(1) << 10
	MiB = KiB << 10
	GiB = MiB << 10
)

// Node is the node of all snapshots.
const Node = "node-a"

// Noon is a time for tests: 12 minutes and 30 seconds after the newest snapshot of [History].
func Noon() time.Time { return time.Date(2026, 11, 22, 12, 12, 30, 0, time.UTC) }

// Options returns those of a daemon with a bucket and drills, whose clock shows *now.
func Options(now *time.Time) status.Options {
	return status.Options{Mirror: true, Drill: true, Now: func() time.Time { return *now }}
}

// Name returns the name of a rolling snapshot.
func Name(t time.Time) snapshot.Name {
	return snapshot.Name{Set: snapshot.RollingSet, Node: Node, Time: t.UTC().Truncate(time.Second)}
}

// Names returns the names of the copies.
func Names(copies []status.Copy) []snapshot.Name {
	var out []snapshot.Name
	for _, c := range copies {
		out = append(out, c.Name)
	}
	return out
}

// Taken returns a copy of a snapshot whose archive has a fifth of its database's size.
func Taken(t time.Time, archive, revision int64) status.Copy {
	return status.Copy{Name: Name(t), Size: archive, Facts: snapshot.Facts{RawSize: 5 * archive, Revision: revision}}
}

// History returns what a policy of 24 hourly, 7 daily and 4 weekly snapshots keeps, newest first.
func History(now time.Time) []status.Copy {
	var out []status.Copy
	newest := now.Truncate(time.Hour)
	add := func(hours int) {
		n := int64(hours)
		c := Taken(newest.Add(-time.Duration(hours)*time.Hour), 46*MiB-n*60*KiB+(n*7919%23)*90*KiB, 48_291_734-n*12_873-(n*n)%900)
		c.InUse, c.Keys = c.RawSize-8*MiB, snapshot.Counted(189_204-7*n+(n*31)%60)
		out = append(out, c)
	}
	for h := range 24 {
		add(h)
	}
	for d := 1; d < 7; d++ {
		add(24*d + 12)
	}
	for w := 1; w < 5; w++ {
		add(24*7*w + 12)
	}
	return out
}

// Fill puts the copies into both places, as if they had been listed.
func Fill(t *status.Tracker, copies []status.Copy) {
	for _, p := range status.Places() {
		t.SetInventory(p, copies, nil)
	}
}

// Take records a run that saves c at that time.
func Take(t *status.Tracker, at time.Time, c status.Copy) {
	t.Begin(status.Snapshot, at)
	t.Saved(at, c, 0, 0)
}

// Fail records a run that fails at that time.
func Fail(t *status.Tracker, j status.Job, at time.Time, r status.Reason, message string) {
	t.Begin(j, at)
	t.End(j, at, status.Outcome{Reason: r, Message: message})
}

// Healthy is a daemon that has run for a while, at *now.
func Healthy(now *time.Time) *status.Tracker {
	list := History(*now)
	newest, at := list[0], list[0].Name.Time
	t := started(now, list[1].Name)
	Fill(t, list[1:])
	t.Begin(status.Snapshot, at)
	t.Saved(at.Add(4*time.Second), newest, 3*time.Second+200*time.Millisecond, 400*time.Millisecond)
	t.Schedule(status.Snapshot, at.Add(time.Hour), time.Hour)
	t.SetMember(at, 231*MiB, true, nil)
	t.Begin(status.Mirror, at.Add(5*time.Second))
	t.SetPending(at.Add(6*time.Second), Names(list[:1]))
	t.Uploaded(newest, 6*time.Second)
	t.Mirrored(at.Add(12*time.Second), 0)
	for _, x := range slices.Backward(list[:9]) {
		t.End(status.Verify, x.Name.Time.Add(2*time.Minute), status.Outcome{Name: x.Name, Took: 8 * time.Second})
	}
	t.Begin(status.Drill, list[4].Name.Time)
	t.End(status.Drill, list[4].Name.Time.Add(14*time.Minute), status.Outcome{
		Name: list[4].Name, Took: 35 * time.Second, Keys: list[4].Keys, Resources: map[string]int64{"/registry/pods": 4_210},
	})
	t.Schedule(status.Drill, time.Unix(1795380000, 0), 24*time.Hour)
	return t
}

// started is a daemon that was started 50 minutes ago, when newest was the newest snapshot.
func started(now *time.Time, newest snapshot.Name) *status.Tracker {
	t := status.New(Options(now))
	at := *now
	*now = at.Add(-50 * time.Minute)
	t.Start(newest)
	*now = at
	return t
}

// Unhealthy is a daemon with every kind of problem, at *now.
func Unhealthy(now *time.Time) *status.Tracker {
	t := Healthy(now)
	list := History(*now)
	for i := range 4 {
		at := now.Add(-time.Duration(4-i) * 2 * time.Minute)
		t.Begin(status.Snapshot, at)
		t.End(status.Snapshot, at.Add(10*time.Second), status.Outcome{
			Reason: status.Unreachable, Message: "connect to etcd at 127.0.0.1:2379: connection refused (is etcd running? --endpoints names where)",
		})
	}
	t.SetInventory(status.S3, list[5:], nil)
	t.SetPending(list[4].Name.Time, Names(list[:5]))
	t.Begin(status.Mirror, now.Add(-time.Minute))
	t.End(status.Mirror, now.Add(-50*time.Second), status.Outcome{
		Reason: status.Credentials, Message: "list bucket backups at minio.example.net:9000: the access key is not known there",
	})
	t.End(status.Verify, now.Add(-40*time.Second), status.Outcome{
		Name: list[0].Name, Reason: status.Damaged, Message: "page 17 of the database does not match its digest",
	})
	t.End(status.Drill, now.Add(-30*time.Second), status.Outcome{
		Name: list[1].Name, Reason: status.Start, Message: "the restored etcd exited after 2 s:\nexit status 1",
	})
	t.SetMember(now.Add(-20*time.Second), 2040*MiB, false, []string{"NOSPACE"})
	return t
}

// Many keeps n snapshots, ten minutes apart, of which the older half is in S3 too.
func Many(now *time.Time, n int) *status.Tracker {
	t := status.New(Options(now))
	var list []status.Copy
	for i := range int64(n) {
		list = append(list, Taken(now.Add(-time.Duration(i)*10*time.Minute), 3*GiB-i*3*MiB+(i*i%17)*20*MiB, 7_812_334_981-i*91_000))
	}
	t.SetInventory(status.Local, list, nil)
	t.SetInventory(status.S3, list[n/2:], nil)
	Take(t, list[0].Name.Time, list[0])
	t.Schedule(status.Snapshot, now.Add(10*time.Minute), 10*time.Minute)
	return t
}

// Broken is a daemon whose newest snapshot was found damaged and was renamed on the disk; S3 has an intact copy.
func Broken(now *time.Time) *status.Tracker {
	t := status.New(Options(now))
	list := History(*now)
	t.SetInventory(status.Local, list, nil)
	t.SetInventory(status.S3, list[:20], nil)
	t.Schedule(status.Snapshot, *now, time.Hour)
	t.Mirrored(now.Add(-9*time.Second), 0)
	page17 := errors.New("page 17")
	t.SetDamaged(status.Local, *now, list[0].Name, page17)
	t.End(status.Verify, *now, status.Outcome{Name: list[0].Name, Reason: status.Damaged, Message: page17.Error()})
	t.End(status.Drill, *now, status.Outcome{Name: list[0].Name, Reason: status.Damaged, Message: page17.Error()})
	t.SetBroken([]status.Copy{{Name: list[0].Name, Size: list[0].Size}})
	t.SetInventory(status.Local, list[1:], nil)
	return t
}

// Journaled is [Healthy] with a journal: the disk is a second behind, S3 half a minute, and for two hours of the day before nothing was recorded.
func Journaled(now *time.Time) *status.Tracker {
	t, at, list := Healthy(now), *now, History(*now)
	hours := func(n time.Duration) time.Time { return at.Add(-n * time.Hour) }
	before := status.Range{First: list[28].Revision - 40, Last: list[24].Revision + 52_000, From: list[28].Name.Time, To: hours(25)}
	since := status.Range{First: list[23].Revision - 70, Last: list[0].Revision + 2_688, From: list[23].Name.Time, To: at.Add(-700 * time.Millisecond)}
	there := since
	there.Last, there.To = since.Last-180, at.Add(-31*time.Second)
	t.SetJournal(func(j *status.Journal) {
		j.On, j.Running, j.Segment, j.Since = true, true, 30*time.Second, hours(23)
		j.Revision, j.At, j.Confirmed = since.Last, since.To, at.Add(-600*time.Millisecond)
		j.Local = status.Segments{Bytes: 812 * MiB, Ranges: []status.Range{before, since}, Revision: since.Last, At: since.To}
		j.Bucket = status.Segments{Bytes: 811 * MiB, Ranges: []status.Range{before, there}, Revision: there.Last, At: there.To}
	})
	return t
}
