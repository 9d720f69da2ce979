package status_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

const mib = statustest.MiB

var (
	// noon is when most tests take place, and hour when the newest snapshot before that was taken.
	noon = statustest.Noon()
	hour = noon.Truncate(time.Hour)
)

// notes keeps files in memory.
type notes struct {
	files  map[string]string
	writes int
	broken error // of the next writes
}

func newNotes() *notes { return &notes{files: map[string]string{}} }

func (n *notes) ReadNote(name string, v any) error {
	text, ok := n.files[name]
	if !ok {
		return nil
	}
	return json.Unmarshal([]byte(text), v)
}

func (n *notes) KeepNote(name string, v any) error {
	if n.broken != nil {
		return n.broken
	}
	data, err := json.Marshal(v)
	n.files[name] = string(data)
	n.writes++
	return err
}

func (n *notes) RemoveNote(name string) error {
	delete(n.files, name)
	return nil
}

// save writes the state, which must succeed.
func save(t testing.TB, tr *status.Tracker, n *notes) {
	t.Helper()
	if err := tr.Save(n, statustest.Node); err != nil {
		t.Fatal(err)
	}
}

// open is the next process on the same notes.
func open(t *testing.T, n *notes, o status.Options) *status.Tracker {
	t.Helper()
	tr, err := status.Open(n, statustest.Node, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// local are the options of a daemon without bucket and drills.
func local(now *time.Time) status.Options {
	return status.Options{Now: func() time.Time { return *now }}
}

func codes(problems []status.Problem) []status.Code {
	var out []status.Code
	for _, p := range problems {
		out = append(out, p.Code)
	}
	return out
}

func texts(problems []status.Problem) string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Text)
	}
	return strings.Join(out, "\n")
}

// wantCodes compares the problems of the moment.
func wantCodes(t *testing.T, when string, tr *status.Tracker, want ...status.Code) {
	t.Helper()
	if got := tr.Problems(); !slices.Equal(codes(got), want) {
		t.Errorf("%s: problems %v, want %v:\n%s", when, codes(got), want, texts(got))
	}
}

// wantPassing compares what may pass at the moment.
func wantPassing(t *testing.T, tr *status.Tracker, want ...status.Code) {
	t.Helper()
	if got := tr.State().Passing(noon); !slices.Equal(codes(got), want) {
		t.Errorf("passing %v, want %v:\n%s", codes(got), want, texts(got))
	}
}

var errPage = errors.New("page 17")
