package daemon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// remembered is what a later process must know too, as text.
func remembered(t *testing.T, s status.State) string {
	t.Helper()
	delete(s.Jobs, status.Mirror) // its first pass says how it is
	for k, j := range s.Jobs {
		if j.Due.After(time.Now()) { // it follows from the schedule
			j.Due = time.Time{}
			s.Jobs[k] = j
		}
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDirectoryOfThePreviousVersionIsTakenOver(t *testing.T) {
	for name, history := range map[string][]string{ // parts of the messages, newest first
		"healthy":      nil,
		"failing":      {"connect: connection refused"},
		"drill-failed": {"literal output size mismatch want 519, got 518"},
		"damaged":      {"bucket is down", "literal output size mismatch want 520, got 518", "CRC-32C of the archive is 6inxnw=="},
		"cut-off":      {"the daemon crashed or was killed during the run"},
		"no-snapshot":  {"etcd is down", "connect: connection refused"},
		"skipped":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := newTakeover(t, filepath.Join("testdata", "a41a2f8", name))
				to.runFor(time.Microsecond)
				to.wantReported()
				s := to.status.State()
				if len(s.History) != len(history) {
					t.Errorf("history %+v", s.History)
				}
				for i, part := range history[:min(len(history), len(s.History))] {
					if !strings.Contains(s.History[i].Message, part) {
						t.Errorf("history %d is %+v, want %q", i, s.History[i], part)
					}
				}
				files := ls(t, to.dir.Path())
				if old := slices.DeleteFunc(files, func(f string) bool { return !strings.HasPrefix(f, ".") || f == ".lock" }); !slices.Equal(old, []string{".status_node-1.json"}) {
					t.Errorf("left %q", old)
				}
				if got, want := remembered(t, to.open().State()), remembered(t, to.status.State()); got != want {
					t.Errorf("the next process knows\n%s\nand not\n%s", got, want)
				}
				// Damaged files are set aside now, and what was found wrong with them stays known.
				before := s.Damages()
				to.dir.quarantines = true
				to.runFor(10 * time.Second)
				after := to.status.State().Damages()
				if len(after) != len(before) {
					t.Fatalf("damage is known of %+v, before of %+v", after, before)
				}
				for i, d := range after {
					broken := filepath.Join(to.dir.Path(), d.Name.String()+snapshot.BrokenSuffix)
					if _, err := os.Stat(broken); (err == nil) != (d.Place == status.Local) || d.Damage != before[i].Damage || !d.Found.Equal(before[i].Found) {
						t.Errorf("%v; damage is known of %+v, before of %+v", err, d, before[i])
					}
				}
			})
		})
	}
}
