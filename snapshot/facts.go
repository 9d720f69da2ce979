package snapshot

import (
	"cmp"
	"slices"
)

// Facts are what decisions need to know about a snapshot: which ones to prune, whether data was lost, and whose they are. The manifest says
// it; the number of keys may also come from a drill, which has counted them in the database.
type Facts struct {
	RawSize  int64 `json:"raw_size,omitempty"` // of the database, in bytes; 0: not known
	InUse    int64 `json:"in_use,omitempty"`   // of these, bytes that etcd used; 0: not known
	Revision int64 `json:"revision,omitempty"` // 0: not known
	Keys     Count `json:"keys,omitzero"`      // live keys, not revisions
	Cluster  ID    `json:"cluster,omitempty"`  // that it was taken from; 0: not known
	Foreign  bool  `json:"foreign,omitempty"`  // another program's, without a manifest, so nothing else is known
	Corrupt  bool  `json:"corrupt,omitempty"`  // etcd had raised the alarm CORRUPT
}

// Facts returns those of the manifest.
func (m Manifest) Facts() Facts {
	return Facts{
		RawSize: m.RawSize, InUse: m.DBSizeInUse, Revision: m.Revision, Keys: m.Keys, Cluster: m.ClusterID,
		Corrupt: slices.Contains(m.Alarms, "CORRUPT"),
	}
}

// WithSizes returns f with the sizes, revision and keys of other where f does not have them.
func (f Facts) WithSizes(other Facts) Facts {
	f.RawSize, f.InUse, f.Revision = cmp.Or(f.RawSize, other.RawSize), cmp.Or(f.InUse, other.InUse), cmp.Or(f.Revision, other.Revision)
	f.Keys = f.Keys.Or(other.Keys)
	return f
}

// Agrees reports whether two copies can be of one snapshot: what both know is the same. Only one of them may have been drilled, or
// recorded by a version that did not know of keys and bytes in use.
func (f Facts) Agrees(other Facts) bool {
	f.Keys, other.Keys = f.Keys.Or(other.Keys), other.Keys.Or(f.Keys)
	f.InUse, other.InUse = cmp.Or(f.InUse, other.InUse), cmp.Or(other.InUse, f.InUse)
	return f == other
}
