package snapshot_test

import (
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Otherwise the mirror would upload a snapshot again once a drill has counted its keys.
func TestCopiesAgreeWhereOneKnowsMore(t *testing.T) {
	manifest := snapshot.Facts{RawSize: 9, Revision: 7, Cluster: 1}
	drilled, other := manifest, manifest
	drilled.Keys, drilled.InUse = snapshot.Counted(0), 5
	other.Keys = snapshot.Counted(3)
	if !manifest.Agrees(drilled) || !drilled.Agrees(manifest) || !drilled.Agrees(drilled) {
		t.Error("one with keys does not agree with one without")
	}
	if drilled.Agrees(other) || manifest.Agrees(snapshot.Facts{RawSize: 9, Revision: 8, Cluster: 1}) {
		t.Error("different ones agree")
	}
}
