package command

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestListShowsWhichMomentsCanBeRestored(t *testing.T) {
	b := newJournalBed(t)
	b.put(t, "k", "0")
	b.save(t, "zero")
	wantText(t, b.want(t, "list", "--output", "json"), `"snapshots"`)
	if _, ok := listed(t, b)["journal"]; ok {
		t.Error("a journal is shown without a segment")
	}

	stop := b.record(t)
	early := b.put(t, "k", "1") // nothing begins it yet
	b.written(t, early)
	wantText(t, b.want(t, "list"), "journal of n1:", "any moment from ", fmt.Sprintf("(revision %d) to ", early-1), fmt.Sprintf("(revision %d), local\n", early))
	stop()

	missing := b.put(t, "k", "lost")
	b.save(t, "between") // nothing continues it
	b.put(t, "k", "lost too")
	b.put(t, "k", "seen")
	stop = b.record(t)
	b.save(t, "first")
	base := b.put(t, "k", "2") - 1
	b.put(t, "k", "3")
	b.save(t, "second")
	last := b.put(t, "k", "4")
	b.written(t, last)
	text := b.want(t, "list")
	wantText(t, text, "journal of n1:", fmt.Sprintf("(revision %d), local\n", early), "  gap: from ", fmt.Sprintf("(revision %d) to ", early),
		fmt.Sprintf("(revision %d)\n", base), fmt.Sprintf("(revision %d) to ", base), fmt.Sprintf("(revision %d), local\n", last))
	if missing >= base {
		t.Fatal("there is no gap")
	}
	stop()
	rows := listed(t, b)["journal"].([]any)
	if len(rows) != 2 {
		t.Fatalf("%d ranges: %v", len(rows), rows)
	}
	second := rows[1].(map[string]any)
	for field, want := range map[string]any{
		"node": "n1", "first_revision": float64(base), "last_revision": float64(last), "segments": 1.0, "places": []any{"local"},
	} {
		if fmt.Sprint(second[field]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, not %v", field, second[field], want)
		}
	}
	for _, field := range []string{"cluster_id", "base", "first_time", "last_time", "bytes"} {
		if second[field] == nil {
			t.Errorf("%s is missing in %v", field, second)
		}
	}
	if of := b.want(t, "list", "--node", "other"); of != "" {
		t.Errorf("of another node: %q", of)
	}
}

func TestListSaysThatNoSnapshotBeginsTheJournal(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	last := b.put(t, "k", "1")
	b.written(t, last)
	stop()
	wantText(t, b.want(t, "list"), "journal of n1:", "  revisions ", fmt.Sprintf(" to %d (", last), "can't be restored: no snapshot is from before them")
	if _, ok := listed(t, b)["journal"]; ok {
		t.Error("a range is shown that can't be restored")
	}
}

// What can't be read hides nothing that comes before it, and what is missing is named.
func TestListShowsWhatComesBeforeDamage(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	b.save(t, "first")
	first := b.put(t, "k", "1")
	b.written(t, first)
	stop()
	stop = b.recordFrom(t, first+1)
	last := b.put(t, "k", "2")
	b.written(t, last)
	stop()
	names := b.complete(t)
	if len(names) != 2 {
		t.Fatalf("segments %q", names)
	}
	b.cut(t, names[1], 10)
	wantText(t, b.want(t, "list"), "  any moment from ", fmt.Sprintf("(revision %d), local\n", first), "  warning: a segment could not be read", names[1])
	if rows := listed(t, b)["journal"].([]any); len(rows) != 1 || rows[0].(map[string]any)["error"] == nil {
		t.Errorf("%v", rows)
	}

	must(t, os.Remove(filepath.Join(b.dir, names[1])))
	b.put(t, "k", "lost")
	stop = b.record(t)
	seen := b.put(t, "k", "3")
	b.written(t, seen)
	stop()
	wantText(t, b.want(t, "list"), fmt.Sprintf("can't be restored: the journal lacks revisions %d to ", last), fmt.Sprintf(", and no snapshot has a revision from %d to %d\n", seen-2, seen))
	b.put(t, "k", "4")
	b.save(t, "later") // no help for what is before it
	wantText(t, b.want(t, "list"), fmt.Sprintf(", and no snapshot has a revision from %d to %d\n", seen-2, seen))
}

// The command that is proposed instead of one with a damaged snapshot shows the same moment.
func TestCommandInsteadOfADamagedSnapshotKeepsTheMoment(t *testing.T) {
	b := newJournalBed(t)
	stop := b.record(t)
	b.save(t, "same")
	older := filepath.Base(b.file(t, "same_"))
	first := b.put(t, "k", "1")
	newer := b.take(t, "same", older)
	last := b.put(t, "k", "2")
	b.written(t, last)
	stop()
	path := filepath.Join(b.dir, newer)
	data, err := os.ReadFile(path)
	must(t, err)
	data[100] ^= 1 // of the database: the manifest says nothing of it
	must(t, os.WriteFile(path, data, 0o600))
	status, _, stderr := run(t.Context(), "get", "k", "--at", fmt.Sprint(last), "--dir", b.dir)
	_, command, _ := strings.Cut(stderr, ": "+program+" ")
	if status != exitDamaged || !strings.Contains(command, older) {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if got := b.want(t, strings.Fields(command)...); got != "2\n" && got != "2" {
		t.Errorf("%s prints %q; revisions %d and %d", command, got, first, last)
	}
}

// take takes a snapshot that has another name than one before it.
func (b *journalBed) take(t *testing.T, label, before string) string {
	t.Helper()
	for {
		status, _, stderr := run(t.Context(), "save", "--dir", b.dir, "--node", "n1", "--label", label, "--endpoints", b.endpoint)
		found, err := filepath.Glob(filepath.Join(b.dir, label+"_*"))
		must(t, err)
		switch i := slices.IndexFunc(found, func(path string) bool { return filepath.Base(path) != before }); {
		case i >= 0:
			return filepath.Base(found[i])
		case status == 0:
			t.Fatalf("there are %q", found)
		case t.Context().Err() != nil:
			t.Fatal(stderr)
		}
	}
}

func listed(t *testing.T, b *journalBed) (all map[string]any) {
	t.Helper()
	must(t, json.Unmarshal([]byte(b.want(t, "list", "--output", "json")), &all))
	return all
}
