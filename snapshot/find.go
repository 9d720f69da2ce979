package snapshot

import "fmt"

// Latest is the reference to the newest snapshot of any set and node.
const Latest = "latest"

// Find picks the snapshot that ref names: Latest, a full name, or a set (a label), of which the newest.
// Errors wrap ErrNotFound, and ErrName where ref could name none.
func (l Listing) Find(ref string) (Entry, error) {
	name, parseErr := ParseName(ref)
	if parseErr != nil && CheckPart("label", ref) != nil {
		return Entry{}, fmt.Errorf("%w: %q: give latest, a label or a full name, as list shows them", ErrName, ref)
	}
	for _, e := range l.Snapshots {
		if ref == Latest || e.Name.Set == ref || parseErr == nil && e.Name.String() == name.String() {
			return e, nil
		}
	}
	if ref == Latest {
		return Entry{}, fmt.Errorf("%w: the directory keeps none yet", ErrNotFound)
	}
	return Entry{}, fmt.Errorf("%w: %s: list shows what there is", ErrNotFound, ref)
}
