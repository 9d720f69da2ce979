package command

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/storetest"
)

func TestVerifyProvesTheJournalAfterASnapshot(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	b.put(t, "k", "0")
	b.save(t, "first")
	without := b.want(t, "verify", "first")
	first := b.put(t, "k", "1")
	last := first
	for i := range 20 {
		last = b.put(t, fmt.Sprint("k", i), strings.Repeat("x", 100))
	}
	b.written(t, last)
	end := fmt.Sprintf(" from revision %d to revision %d, received ", first-1, last)
	wantText(t, b.want(t, "verify", "first"), "is intact\n", "journal: 1 segment with 21 events: every change"+end, " is there and intact\n")
	stop()
	wantText(t, b.want(t, "verify"), strings.TrimSuffix(without, "\n"), "journal: 1 segment with 21 events: every change"+end)
	wantText(t, b.want(t, "verify", "--output", "json"), `"journal": {`, `"segments": 1`, `"events": 21`, fmt.Sprintf(`"last_revision": %d`, last))
	if text := b.want(t, "verify", filepath.Join(b.dir, b.file(t, "first_"))); strings.Contains(text, "journal") {
		t.Errorf("of a file that may be from anywhere: %s", text)
	}

	// A gap is a fact and no failure.
	b.put(t, "k", "lost")
	b.put(t, "k", "lost")
	seen := b.put(t, "k", "seen")
	stop = b.record(t)
	b.written(t, b.put(t, "k", "seen"))
	stop()
	wantText(t, b.want(t, "verify", "first"), end, fmt.Sprintf("journal: gap after revision %d: it goes on at revision %d, ", last, seen))

	// Damage is.
	segment := b.complete(t)[0]
	b.flip(t, segment)
	status, stdout, stderr := run(t.Context(), "verify", "first", "--dir", b.dir)
	if status != exitDamaged || !strings.HasPrefix(stdout, strings.TrimSuffix(without, "\n")) {
		t.Errorf("status %d, %q", status, stdout)
	}
	wantText(t, stderr, "verify the journal after ", segment+" in "+b.dir+": damaged", "the snapshot itself is intact")
	if strings.Count(stderr, "\n") != 1 {
		t.Errorf("not one line: %s", stderr)
	}
}

// What was recorded after a restore that kept the cluster ID is no continuation of a snapshot of before.
func TestVerifyOfASnapshotOfBeforeARestoreShowsNoGap(t *testing.T) {
	b := newJournalBed(t)
	b.save(t, "first")
	stop := b.record(t)
	last := b.put(t, "k", "1")
	b.written(t, last)
	stop()
	n, data := storetest.Segment(t, storetest.SegmentOf{
		Node: "n1", Cluster: b.member.Source().ClusterID, Begun: time.Now().Add(2 * time.Second), First: last + 10, Last: last + 12, Restored: true,
	})
	must(t, os.WriteFile(filepath.Join(b.dir, n.String()), data, 0o600))
	text := b.want(t, "verify", "first")
	wantText(t, text, "every change from ", fmt.Sprintf("to revision %d, ", last), " is there and intact\n")
	if strings.Contains(text, "gap") {
		t.Errorf("a restore is shown as a gap: %s", text)
	}
}

func TestVerifyOfOneSegment(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	last := b.put(t, "k", "0")
	b.written(t, last)
	part := b.segments(t)[0].String()
	wantText(t, b.want(t, "verify", part), part+" is being written, or its writer died", fmt.Sprintf("to %d, ", last))
	torn := filepath.Join(t.TempDir(), part)
	data, err := os.ReadFile(filepath.Join(b.dir, part))
	must(t, err)
	must(t, os.WriteFile(torn, append(data, "torn"...), 0o600))
	wantText(t, b.want(t, "verify", torn), "intact up to its last checkpoint", fmt.Sprintf("to %d, ", last))
	stop()
	name := b.complete(t)[0]
	wantText(t, b.want(t, "verify", name), name+" is intact\n", fmt.Sprintf("to %d, ", last))
	wantText(t, b.want(t, "verify", filepath.Join(b.dir, name), "--output", "json"), `"complete": true`, fmt.Sprintf(`"last_revision": %d`, last))
	const none = "journal_n1_20250101T000000Z_1-2.jnl.zst"
	b.refused(t, exitFailed, []string{"verify " + none + ": there is no such segment in " + b.dir + ": "}, "verify", none)
	b.refused(t, exitUsage, []string{"--from s3 needs --s3-bucket"}, "verify", name, "--from", "s3")
	b.flip(t, name)
	for _, ref := range []string{name, filepath.Join(b.dir, name)} {
		b.refused(t, exitDamaged, []string{"verify " + ref + ": damaged: "}, "verify", ref)
		_, _, stderr := run(t.Context(), "verify", ref, "--dir", b.dir)
		wantNamedOnce(t, stderr, name)
	}
	b.cut(t, name, 10)
	b.refused(t, exitDamaged, []string{"verify " + name + ": damaged: "}, "verify", name)
}

// A warning on stderr is in the JSON too, and a segment is named once in it.
func TestJSONHasTheWarningsOfAJournalWithDamage(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	b.save(t, "first")
	b.written(t, b.put(t, "k", "1"))
	stop()
	name := b.complete(t)[0]
	for what, damage := range map[string]func(){"a flipped bit": func() { b.flip(t, name) }, "its end is cut off": func() { b.cut(t, name, 10) }} {
		damage()
		for _, args := range [][]string{
			{"ls", "--at", "latest"},
			{"diff", "first", "live", "--at", "latest", "--endpoints", b.endpoint},
			{"restore", "--dry-run", "--data-dir", filepath.Join(t.TempDir(), "etcd")},
		} {
			status, stdout, stderr := run(t.Context(), append(args, "--dir", b.dir, "--output", "json")...)
			var got struct{ Warnings []string }
			must(t, json.Unmarshal([]byte(stdout), &got))
			var want []string
			for line := range strings.Lines(stderr) {
				if text, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "warning: "); is {
					want = append(want, text)
				}
			}
			if status != 0 || len(want) == 0 || !slices.Equal(got.Warnings, want) {
				t.Errorf("%s, %q: status %d, warnings %q, want %q", what, args, status, got.Warnings, want)
			}
			wantNamedOnce(t, stderr, name)
			wantText(t, stderr, name+" in "+b.dir+": damaged: ", ": trying without it")
			if again := slices.Compact(slices.Sorted(slices.Values(want))); len(again) != len(want) {
				t.Errorf("%s, %q warns twice: %q", what, args, want)
			}
		}
	}
}

// file is the one file of the directory whose name begins like that.
func (b *journalBed) file(t *testing.T, prefix string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, prefix+"*"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d files begin with %s", len(found), prefix)
	}
	return filepath.Base(found[0])
}
