package e2e_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
)

// putBack undoes the restore, as it says at its end.
func (w *wrongMoment) putBack(t *testing.T) {
	t.Helper()
	m := w.Members[0]
	must(t, m.Stop())
	eventually(t, "the second of the last segment is over", func() bool { return time.Since(w.after[len(w.after)-1].at) > time.Second })
	kept, err := filepath.Glob(filepath.Join(m.DataDir, "member.before-restore-*"))
	must(t, err)
	if len(kept) != 1 {
		t.Fatalf("%q", kept)
	}
	current := filepath.Join(m.DataDir, "member")
	must(t, os.Rename(current, current+".unwanted"))
	must(t, os.Rename(kept[0], current))
	must(t, m.Restart(t.Context()))
}

// A restore was undone, so the snapshots are of two clusters, and the first one goes on. Each moment is of the cluster that was there.
func TestMomentsOfARestoreThatWasUndone(t *testing.T) {
	parallel(t)
	w := restoreWrongly(t, func(w *wrongMoment, _ string) {
		run(t, 0, nil, "restore", "--dir="+w.dir, "--data-dir="+w.Members[0].DataDir, "--replace", "--at="+strconv.FormatInt(w.before[2].revision, 10))
	})
	w.putBack(t)
	eventually(t, "there is a snapshot of the first cluster again", func() bool { return len(listed(t, w.dir)) == 3 })
	names := listed(t, w.dir)
	moments := func() {
		w.restoredTo(t, w.before[6].state, atTime(w.before[6].at), w.base, "this moment is of cluster ")
		w.restoredTo(t, w.after[1].state, atTime(w.after[1].at), names[1].Name.String(), "this moment is of cluster ")
		run(t, 1, []string{"the cluster was restored between that snapshot and the moment", "the snapshot " + names[1].Name.String() + " with --at "},
			words("restore", []string{w.base, "--dir=" + w.dir, "--data-dir=" + target(t)}, atTime(w.after[1].at))...)
		list := run(t, 0, nil, "list", "--dir="+w.dir)
		for line := range strings.Lines(list.stdout.String()) {
			if strings.HasPrefix(line, names[0].Name.String()) && strings.Contains(line, "before the restore") {
				t.Errorf("the newest snapshot is one of after: %s", line)
			}
		}
	}
	moments()

	client := etcdtest.Dial(t, w.Cluster)
	_, err := client.Put(t.Context(), "/registry/0", "again")
	must(t, err)
	end := recorded{stateOf(t, client), time.Now(), time.Now()}
	eventually(t, "the journal has the last change", func() bool { return journaltest.Revision(t, w.dir) >= end.revision })
	w.daemon.stop(t, syscall.SIGTERM, 0)
	moments()
	w.restoredTo(t, end.state, []string{"--at=" + strconv.FormatInt(end.revision, 10)}, "this moment is of cluster ")
	text := run(t, 0, nil, "list", "--dir="+w.dir).stdout.String()
	if strings.Count(text, "  any moment from ") != 3 || strings.Count(text, "  the cluster was restored here") != 2 || strings.Contains(text, "gap:") {
		t.Errorf("it listed\n%s", text)
	}
}
