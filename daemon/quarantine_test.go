package daemon_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// wantSetAside demands that these archives, and no others, were read again, once each, and renamed, and that this is a problem.
func (b *bed) wantSetAside(names ...string) {
	b.t.Helper()
	if got := b.store.readAgainNames(); !slices.Equal(got, names) {
		b.t.Errorf("read again %q, want %q", got, names)
	}
	if got := b.store.brokenNames(); !slices.Equal(got, names) {
		b.t.Errorf("renamed %q, want %q", got, names)
	}
	renamed := slices.DeleteFunc(b.lines(atError), func(s string) bool { return s != msgRenamed })
	if len(renamed) != len(names) || slices.Contains(b.codes(), status.CodeDamaged) != (len(names) > 0) {
		b.t.Errorf("%d lines, problems %q", len(renamed), b.codes())
	}
}

// Whoever finds the newest snapshot damaged: it is read again once, renamed and replaced, and stays a problem, over restarts and however
// many others are intact, until the renamed file is gone.
func TestDamagedNewestSnapshotIsSetAsideAndReplaced(t *testing.T) {
	for finder, find := range map[string]func(b *bed, bad snapshot.Entry){
		"a drill": func(b *bed, _ snapshot.Entry) { newDrills(b, "30 1-23 * * *").end = onlyFirst(errDamage) },
		"the mirror": func(b *bed, bad snapshot.Entry) {
			b.opts.Mirror = func(context.Context) (mirror.Result, error) {
				time.Sleep(time.Second)
				if !slices.Contains(b.store.names(), bad.Name.String()) {
					return mirror.Result{}, nil
				}
				b.status.SetDamaged(status.Local, time.Now(), bad.Name, errDamage)
				return mirror.Result{}, errDamage
			}
		},
		"its manifest": func(b *bed, bad snapshot.Entry) { b.store.manifestErr = map[string]error{bad.Name.String(): errDamage} },
	} {
		t.Run(finder, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t, "@hourly")
				b.opts.Policy.Last = 10
				good, bad := taken(t, b.origin.Add(-time.Hour)).Entry, taken(t, b.origin).Entry
				b.store.add(good, bad)
				find(b, bad)
				time.Sleep(time.Second) // or else the new snapshot would have the bad one's name
				b.runFor(3 * time.Hour)
				b.wantSetAside(bad.Name.String())
				if len(b.begun) != 4 || b.begun[0] > 5*time.Second || !slices.Equal(b.begun[1:], hours(1, 3)) {
					t.Errorf("runs at %v", b.begun)
				}
				damages := b.status.State().Damages()
				if len(damages) != 1 || damages[0].Name != bad.Name || !strings.Contains(damages[0].Damage, "3 bytes are missing") || b.since(damages[0].Found) > 3*time.Second {
					t.Errorf("damage is known of %+v", damages)
				}
				if h := b.status.State().History; len(h) == 0 || h[len(h)-1].Reason != status.Damaged {
					t.Errorf("history %+v", h)
				}
				b.opts.Drill, b.opts.Mirror = nil, nil
				b.runFor(time.Minute)
				b.wantSetAside(bad.Name.String())
				if got := b.status.State().Damages(); len(got) != 1 || got[0].Damage != damages[0].Damage {
					t.Errorf("after the restart damage is known of %+v", got)
				}
				if err := b.store.RemoveBroken(t.Context(), bad.Name); err != nil {
					t.Error(err)
				}
				b.runFor(time.Minute)
				if got := b.codes(); len(got) > 0 {
					t.Errorf("it is gone: problems %q", got)
				}
			})
		})
	}
}

// One that comes while the daemon runs, as by a copy made manually, is found by the next look. It is no reason for another snapshot if it
// is none of the schedule's.
func TestDamagedManualSnapshotIsSetAsideAndNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		bad := snapshot.Entry{Name: name(t, snapshot.ManualSet, node, b.origin.Add(10*time.Minute))}
		b.store.manifestErr = map[string]error{bad.Name.String(): errDamage}
		b.at(10*time.Minute, func() { b.store.add(bad) })
		b.at(10*time.Minute+16*time.Second, func() { b.wantSetAside(bad.Name.String()) })
		b.runFor(30 * time.Minute)
		b.wantRuns(0)
	})
}

// A snapshot that is intact when it is read again stays, and is no problem any more.
func TestSnapshotThatIsIntactWhenReadAgainStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		x := taken(t, b.origin).Entry
		b.store.add(x)
		b.store.readAgain = func(snapshot.Name) error { return nil }
		newDrills(b, "0 0 * * 0").end = onlyFirst(errDamage)
		b.runFor(30 * time.Minute)
		if got := b.store.readAgainNames(); !slices.Equal(got, []string{x.Name.String()}) || len(b.store.brokenNames()) > 0 {
			t.Errorf("read again %q, renamed %q", got, b.store.brokenNames())
		}
		b.wantLocal("rolling 1s 1000/5000@42", "rolling 0s 1000/5000@42") // the drill has asked for another one
		if d := b.status.State().Damages(); len(d) > 0 || slices.Contains(b.codes(), status.CodeDamaged) {
			t.Errorf("damage is known of %+v, problems %q", d, b.codes())
		}
		if got := b.lines(atWarning); !slices.Contains(got, "a snapshot that was found damaged is intact on the second read; the disk or the memory may be failing") {
			t.Errorf("warnings %q", got)
		}
	})
}

// A damaged file that can't be read again, or not renamed, is tried again every five minutes. It is a problem and replaced meanwhile.
func TestDamagedFileThatCannotBeReadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		b.store.manifestErr = map[string]error{bad.Name.String(): errDamage}
		var tries []time.Duration
		b.store.readAgain = func(snapshot.Name) error {
			tries = append(tries, time.Since(b.origin))
			if len(tries) > 2 {
				return errDamage
			}
			return syscall.EIO
		}
		time.Sleep(time.Second)
		b.at(7*time.Minute, func() {
			if got := b.codes(); !slices.Equal(got, []status.Code{status.CodeDamaged}) {
				t.Errorf("problems %q", got)
			}
		})
		b.runFor(30 * time.Minute)
		if len(tries) != 3 || tries[1]-tries[0] < 5*time.Minute || tries[2]-tries[1] < 5*time.Minute || tries[2] > 11*time.Minute {
			t.Errorf("read again at %v", tries)
		}
		b.wantRuns(time.Second)
		const failed = "a damaged snapshot could not be renamed to NAME.broken"
		b.wantLines(atError, failed, failed, msgRenamed)
	})
}

// A damaged file that somebody has removed meanwhile needs no line and no replacement.
func TestDamagedFileThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		old, newest := taken(t, b.origin.Add(-time.Hour)).Entry, taken(t, b.origin).Entry
		b.store.add(old, newest)
		b.opts.Mirror = func(ctx context.Context) (mirror.Result, error) {
			b.status.SetDamaged(status.Local, time.Now(), old.Name, errDamage)
			if err := b.store.Remove(ctx, old.Name); err != nil && !errors.Is(err, snapshot.ErrNotFound) {
				t.Error(err)
			}
			return mirror.Result{}, nil
		}
		b.runFor(time.Minute)
		b.wantRuns()
		b.wantLines(atError)
		if got := b.status.State().Damages(); len(got) > 0 {
			t.Errorf("damage is known of %+v", got)
		}
	})
}

// The renamed file goes when the policy would not keep it if it were intact, and the problem with it.
func TestRenamedFileIsPrunedByThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		bad := taken(t, b.origin).Entry
		b.store.add(bad)
		b.store.manifestErr = map[string]error{bad.Name.String(): errDamage}
		time.Sleep(time.Second)
		b.at(time.Hour+59*time.Minute, func() { b.wantSetAside(bad.Name.String()) })
		b.runFor(2*time.Hour + time.Minute) // its replacement and two more are the three that the policy keeps
		if got := b.store.brokenNames(); len(got) > 0 || len(b.codes()) > 0 {
			t.Errorf("%q are still there, problems %q", got, b.codes())
		}
	})
}
