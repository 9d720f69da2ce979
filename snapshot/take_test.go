package snapshot_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/pace"
)

// streamer is a member whose stream the test writes.
type streamer func(ctx context.Context, w io.Writer, size func(int64)) error

func (streamer) Source() snapshot.Source { return sourceA(51) }

func (s streamer) Stream(ctx context.Context, w io.Writer, size func(int64)) error {
	return s(ctx, w, size)
}

// sends is a member that sends raw as etcd does and ends.
func sends(raw []byte) streamer {
	return func(_ context.Context, w io.Writer, size func(int64)) error {
		size(int64(len(raw)))
		return inMessages(w, raw, messageSize)
	}
}

// thenWaits is a member that sends raw and then nothing, until it is stopped.
func thenWaits(raw []byte) streamer {
	return func(ctx context.Context, w io.Writer, size func(int64)) error {
		if err := sends(raw)(ctx, w, size); err != nil {
			return err
		}
		<-ctx.Done()
		return errMember
	}
}

var errMember = errors.New("the member is gone")

func TestTake(t *testing.T) {
	d := newDir(t)
	raw := withDigest(etcdDatabase(t, 1000))
	var last, total int64
	o := options(0)
	o.Progress = func(done, of int64) {
		if done < last || of != int64(len(raw)) {
			t.Errorf("progress %d after %d, in all %d of %d", done, last, of, len(raw))
		}
		last, total = done, of
	}
	before := time.Now()
	taken, err := snapshot.Take(t.Context(), sends(raw), d, o)
	must(t, err)
	if last != total || last != int64(len(raw)) {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if taken.Name.Time.Before(before.Truncate(time.Second)) || taken.Name.Time.After(time.Now()) || taken.Stream <= 0 || taken.Sync <= 0 {
		t.Errorf("took %+v since %s", taken, before)
	}

	sum := sha256.Sum256(raw[:len(raw)-32])
	want := snapshot.Manifest{
		Format: snapshot.Format, Name: taken.Name.String(), CreatedAt: taken.Name.Time, Node: "node-a", Source: sourceA(51),
		RawSize: int64(len(raw)), RawSHA256: hex.EncodeToString(sum[:]), ArchiveSHA256: taken.Manifest.ArchiveSHA256,
		ArchiveCRC32C: taken.Manifest.ArchiveCRC32C, ToolVersion: "test",
	}
	if !reflect.DeepEqual(taken.Manifest, want) {
		t.Errorf("manifest %+v, want %+v", taken.Manifest, want)
	}
	l, err := d.List()
	must(t, err)
	entry := taken.Entry
	if len(l.Snapshots) == 1 && time.Since(l.Snapshots[0].Modified) < time.Hour {
		entry.Modified = l.Snapshots[0].Modified // which only the directory knows
	}
	if !reflect.DeepEqual(l, snapshot.Listing{Snapshots: []snapshot.Entry{entry}}) {
		t.Errorf("the directory has %+v, taken was %+v", l, taken.Entry)
	}
	f, err := d.File(taken.Name)
	must(t, err)
	defer f.Close()
	r, err := verify(t.Context(), f, d, 0, nil)
	must(t, err)
	if !reflect.DeepEqual(r.Manifest, want) || r.Size != taken.Size || r.Revision != 1001 {
		t.Errorf("verified %+v, want manifest %+v", r, want)
	}
}

// Without a length from etcd (3.4, 3.5) the total is 0.
func TestTakeOfUnknownLength(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 10))
	o := options(0)
	o.Progress = func(_, total int64) {
		if total != 0 {
			t.Errorf("the length is %d, nobody told it", total)
		}
	}
	_, err := snapshot.Take(t.Context(), streamer(func(_ context.Context, w io.Writer, _ func(int64)) error {
		return inMessages(w, raw, messageSize)
	}), newDir(t), o)
	must(t, err)
}

// takeFails demands that Take fails with want, if set, and leaves nothing.
func takeFails(ctx context.Context, t *testing.T, name string, src snapshot.Streamer, o snapshot.TakeOptions, want error) {
	t.Helper()
	d := newDir(t)
	_, err := snapshot.Take(ctx, src, d, o)
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
	}
	if got := in(t, d); len(got) != 0 {
		t.Errorf("%s: left are %q", name, got)
	}
}

func TestTakeRefusesStreams(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 1000))
	for _, n := range []int{0, 1, 31, 32, 33, 512, 544, messageSize, len(raw) / 2, len(raw) - 512, len(raw) - 33, len(raw) - 32, len(raw) - 16, len(raw) - 1} {
		takeFails(t.Context(), t, "cut", sends(raw[:n]), options(0), nil)
		takeFails(t.Context(), t, "cut with an error", streamer(func(ctx context.Context, w io.Writer, size func(int64)) error {
			return errors.Join(sends(raw[:n])(ctx, w, size), errMember)
		}), options(0), errMember)
	}
	r := random(t)
	for range 20 {
		altered := slices.Clone(raw)
		at := r.IntN(len(raw))
		altered[at] ^= byte(1 + r.IntN(255))
		takeFails(t.Context(), t, "altered", sends(altered), options(0), nil)
	}
	takeFails(t.Context(), t, "longer", sends(append(slices.Clone(raw), make([]byte, 512)...)), options(0), nil)
	takeFails(t.Context(), t, "an error after all of it", streamer(func(ctx context.Context, w io.Writer, size func(int64)) error {
		return errors.Join(sends(raw)(ctx, w, size), errMember)
	}), options(0), errMember)
}

func TestTakeRefusesNames(t *testing.T) {
	for _, part := range []string{"", "..", "a/b", "a_b"} {
		o := options(0)
		o.Node = part
		takeFails(t.Context(), t, "node "+part, sends(nil), o, snapshot.ErrName)
		o = options(0)
		o.Set = part
		takeFails(t.Context(), t, "set "+part, sends(nil), o, snapshot.ErrName)
	}
}

// A stream is aborted after Stall without a byte, and not earlier.
func TestTakeStalls(t *testing.T) {
	const stall = 10 * time.Second
	raw := withDigest(etcdDatabase(t, 1000))
	every := func(pause time.Duration, raw []byte, messages int) streamer {
		return func(ctx context.Context, w io.Writer, _ func(int64)) error {
			timer := time.NewTicker(pause)
			defer timer.Stop()
			for i := 0; messages < 0 || i < messages; i++ {
				select {
				case <-timer.C:
				case <-ctx.Done():
					return errMember
				}
				n := min(len(raw), messageSize)
				if _, err := w.Write(raw[:n]); err != nil {
					return err
				}
				raw = raw[n:]
			}
			return nil
		}
	}
	messages := (len(raw) + messageSize - 1) / messageSize
	for name, c := range map[string]struct {
		src  streamer
		want error
		ends time.Duration // after the start, or 0
	}{
		"nothing comes":            {thenWaits(nil), snapshot.ErrStalled, stall},
		"half of it comes":         {thenWaits(raw[:len(raw)/2]), snapshot.ErrStalled, stall},
		"all of it but no end":     {thenWaits(raw), snapshot.ErrStalled, stall},
		"empty messages for ever":  {every(time.Second, nil, -1), snapshot.ErrStalled, stall},
		"empty messages after all": {every(time.Second, raw, -1), snapshot.ErrStalled, time.Duration(messages)*time.Second + stall},
		"slow but steady":          {every(stall-1, raw, messages), nil, time.Duration(messages) * (stall - 1)},
		"a little slower":          {every(stall+1, raw, messages), snapshot.ErrStalled, stall},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, o, start := newDir(t), options(0), time.Now()
			o.Stall = stall
			_, err := snapshot.Take(t.Context(), c.src, d, o)
			if !errors.Is(err, c.want) || errors.Is(err, errMember) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if took := time.Since(start); took != c.ends {
				t.Errorf("%s: ended after %s, want %s", name, took, c.ends)
			}
			if got := in(t, d); err != nil && len(got) != 0 {
				t.Errorf("%s: left are %q", name, got)
			}
		})
	}
}

// A stream that is slowed down does not stall while it moves, stalls when nothing comes, and ends with its context in the middle of a wait.
func TestTakeOfASlowedStream(t *testing.T) {
	const stall = 2 * time.Second
	const rate = 64 << 10
	raw := withDigest(etcdDatabase(t, 1000))
	for name, c := range map[string]struct {
		src  streamer
		want error
		more time.Duration // than the rate allows
	}{
		"all of it comes":         {sends(raw), nil, 0},
		"half of it comes":        {thenWaits(raw[:len(raw)/2]), snapshot.ErrStalled, stall},
		"stopped after a quarter": {sends(raw), errMember, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			d, o, start, last, passed := newDir(t), options(0), time.Now(), time.Now(), int64(0)
			o.Stall, o.Slow = stall, pace.Fixed(rate)
			o.Progress = func(done, _ int64) {
				if pause := time.Since(last); pause > stall/4 {
					t.Errorf("%s: no sign of life for %s", name, pause)
				}
				if last, passed = time.Now(), done; errors.Is(c.want, errMember) && done >= int64(len(raw)/4) {
					cancel(errMember)
				}
			}
			_, err := snapshot.Take(ctx, c.src, d, o)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			want := time.Duration(passed)*time.Second/rate + c.more
			if took := time.Since(start); took < want-200*time.Millisecond || took > want+200*time.Millisecond || passed == 0 {
				t.Errorf("%s: %d bytes took %s, want %s", name, passed, took, want)
			}
			if got := in(t, d); err != nil && len(got) != 0 {
				t.Errorf("%s: left are %q", name, got)
			}
		})
	}
}

// A shutdown at the very end discards nothing: while the state file is waited for, for example.
func TestCompleteSnapshotIsKeptByAShutdown(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	raw, d := withDigest(etcdDatabase(t, 100)), newDir(t)
	_, err := snapshot.Take(ctx, streamer(func(ctx context.Context, w io.Writer, size func(int64)) error {
		defer stop()
		return sends(raw)(ctx, w, size)
	}), d, options(0))
	if got := in(t, d); err != nil || len(got) != 1 || strings.HasSuffix(got[0], ".part") {
		t.Errorf("%v; the directory has %q", err, got)
	}
}

func TestTakeIsCanceled(t *testing.T) {
	raw := withDigest(etcdDatabase(t, 100))
	errStop := errors.New("SIGTERM")
	canceled := func(name string, want error, src func(stop func()) streamer) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		takeFails(ctx, t, name, src(func() { cancel(errStop) }), options(0), want)
	}
	canceled("in the middle", errStop, func(stop func()) streamer {
		return func(ctx context.Context, w io.Writer, size func(int64)) error {
			stop()
			return thenWaits(raw[:len(raw)/2])(ctx, w, size)
		}
	})
	canceled("the member writes on and fails", errStop, func(stop func()) streamer {
		return func(ctx context.Context, w io.Writer, size func(int64)) error {
			stop()
			<-ctx.Done()
			return errors.Join(sends(raw)(ctx, w, size), errMember)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	takeFails(ctx, t, "before the start", sends(raw), options(0), context.Canceled)
}
