package status_test

import (
	"reflect"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

// Whatever is in the file: the daemon starts with it, and what it saves it can read.
func FuzzStatusFile(f *testing.F) {
	for _, example := range []func() string{
		func() string {
			now, n := noon, newNotes()
			save(f, statustest.Healthy(&now), n)
			return n.files[statusFile]
		},
		func() string {
			now, n := noon, newNotes()
			save(f, statustest.Broken(&now), n)
			return n.files[statusFile]
		},
		func() string {
			now, n := noon, newNotes()
			save(f, statustest.Journaled(&now), n)
			return n.files[statusFile]
		},
	} {
		f.Add(example())
	}
	f.Add(`{"jobs":{"no such job":{}},"places":{"":{"copies":[{}]}},"starts":["9999-12-31T23:59:59Z"],"history":null}`)
	f.Add(`{"journal":{"local":{"bytes":-1,"ranges":[{"first":9,"last":1},{}],"at":"9999-12-31T23:59:59Z"},"bucket":{"ranges":null,"revision":-7}}}`)
	f.Add(`null`)
	f.Add(``)
	f.Fuzz(func(t *testing.T, text string) {
		now, n := noon, newNotes()
		n.files[statusFile] = text
		o := statustest.Options(&now)
		o.JournalSegment = time.Second
		tr, _ := status.Open(n, statustest.Node, o) // the error says that a part is missing
		tr.Begin(status.Snapshot, now)
		tr.End(status.Snapshot, now, status.Outcome{Reason: "disk", Message: "m"})
		tr.SetInventory(status.Local, nil, nil)
		_ = tr.Problems()
		_ = status.Gaps(tr.State().Restorable(status.Local))
		save(t, tr, n)
		next, err := status.Open(n, statustest.Node, statustest.Options(&now))
		if err != nil {
			t.Fatalf("its own file: %v", err)
		}
		if got, want := next.State().Jobs[status.Snapshot].Failures, tr.State().Jobs[status.Snapshot].Failures; !reflect.DeepEqual(got, want) {
			t.Fatalf("%d failures became %d", want, got)
		}
	})
}
