package status_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// drilled is a daemon whose drills count resources.
type drilled struct {
	*status.Tracker
	now  time.Time
	list []status.Copy
}

func newDrilled() *drilled {
	d := &drilled{now: noon}
	o := local(&d.now)
	o.Drill = true
	d.Tracker = status.New(o)
	return d
}

// counts is a drill an hour later, of a new snapshot of the cluster.
func (d *drilled) counts(cluster snapshot.ID, resources map[string]int64) {
	d.now = d.now.Add(time.Hour)
	c := keyed(d.now, -1)
	d.list = append(d.list, c)
	d.SetInventory(status.Local, d.list, nil)
	d.End(status.Drill, d.now, status.Outcome{Name: c.Name, Keys: snapshot.Counted(1000), Resources: resources, Cluster: cluster})
}

type counts = map[string]int64

func TestTypeOfKubernetesThatIsGoneIsAProblem(t *testing.T) {
	const widgets, pods = "/registry/example.com/widgets", "/registry/pods"
	gone := []status.Code{status.CodeResourceGone}
	for name, c := range map[string]struct {
		drills []counts // one an hour
		want   []status.Code
	}{
		"nothing was counted before": {[]counts{{pods: 5}}, nil},
		"fewer":                      {[]counts{{pods: 5, widgets: 9}, {pods: 5, widgets: 1}}, nil},
		"none":                       {[]counts{{pods: 5, widgets: 9}, {pods: 5}}, gone},
		"none of anything":           {[]counts{{pods: 5, widgets: 9}, {}}, gone},
		"none of two":                {[]counts{{pods: 5, widgets: 2}, {pods: 5}}, nil},
		"short-lived":                {[]counts{{pods: 5, "/registry/events": 900, "/registry/leases": 9, "/kubernetes.io/jobs": 9}, {pods: 5}}, nil},
		"still none":                 {[]counts{{pods: 5, widgets: 9}, {pods: 5}, {pods: 5}}, gone},
		"some again":                 {[]counts{{pods: 5, widgets: 9}, {pods: 5}, {pods: 5, widgets: 1}}, nil},
		"then not counted":           {[]counts{{pods: 5, widgets: 9}, nil}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrilled()
			for _, x := range c.drills {
				d.counts(7, x)
			}
			wantCodes(t, "now", d.Tracker, c.want...)
		})
	}
}

func TestGoneTypeEndsAfterADayAndSurvivesARestart(t *testing.T) {
	d := newDrilled()
	d.counts(7, counts{"/registry/pods": 50, "/registry/secrets": 60, "/registry/configmaps": 4})
	before := d.list[0].Name
	d.counts(7, counts{"/registry/pods": 50})
	want := fmt.Sprintf("all objects of the Kubernetes type /registry/secrets and of 1 other type are gone: there were 60 in %s", before)
	if p := d.Problems(); len(p) != 1 || !strings.HasPrefix(p[0].Text, want) {
		t.Errorf("%+v, want %s", p, want)
	}
	dir := snapshot.NewDir(t.TempDir())
	if err := d.Save(dir, "node-a"); err != nil {
		t.Fatal(err)
	}
	o := local(&d.now)
	o.Drill = true
	again, err := status.Open(dir, "node-a", o)
	if err != nil {
		t.Fatal(err)
	}
	again.SetInventory(status.Local, d.list, nil)
	wantCodes(t, "after a restart", again, status.CodeResourceGone)
	d.now = d.now.Add(22 * time.Hour)
	wantCodes(t, "22 hours later", again, status.CodeResourceGone)
	d.now = d.now.Add(2 * time.Hour)
	wantCodes(t, "a day later", again)
}

// TestDrillOfAnotherClusterComparesNothing: a restore, or a new cluster, has its own types.
func TestDrillOfAnotherClusterComparesNothing(t *testing.T) {
	d := newDrilled()
	d.counts(7, counts{"/registry/pods": 50})
	d.counts(8, counts{})
	wantCodes(t, "of another cluster", d.Tracker)
}

// TestDrillOfAnOlderSnapshotTellsNothing: its types may have come later.
func TestDrillOfAnOlderSnapshotTellsNothing(t *testing.T) {
	d := newDrilled()
	d.counts(7, counts{})
	d.counts(7, counts{"/registry/pods": 50})
	d.End(status.Drill, d.now, status.Outcome{Name: d.list[0].Name, Keys: snapshot.Counted(0), Resources: counts{}, Cluster: 7})
	wantCodes(t, "of an older one", d.Tracker)
}

// TestDrillCountsTheKeysOfAllCopies: the manifest of the file does not change, but the state knows them, also after the next listing.
func TestDrillCountsTheKeysOfAllCopies(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, Drill: true, Now: func() time.Time { return now }})
	c := keyed(noon, -1)
	for _, p := range status.Places() {
		tr.SetInventory(p, []status.Copy{c}, nil)
	}
	tr.End(status.Drill, now, status.Outcome{Name: c.Name, Keys: snapshot.Counted(42)})
	for _, p := range status.Places() {
		tr.SetInventory(p, []status.Copy{c}, nil)
		tr.SetManifests(p, map[snapshot.Name]snapshot.Facts{c.Name: c.Facts})
		if got := tr.State().Places[p].Copies[0].Keys; got != snapshot.Counted(42) {
			t.Errorf("%s: %+v, want 42 keys", p, got)
		}
	}
}

// TestDrillOfAWrongClockHidesNoGoneType: the first snapshot of a machine whose clock was ahead is drilled at once, before the clock is set.
func TestDrillOfAWrongClockHidesNoGoneType(t *testing.T) {
	d := newDrilled()
	d.now = noon.AddDate(1, 0, 0)
	d.counts(7, counts{"/registry/pods": 50, "/registry/secrets": 60})
	d.now = noon
	d.counts(7, counts{"/registry/pods": 50})
	wantCodes(t, "after the clock was set back", d.Tracker, status.CodeResourceGone)
}
