package snapshot

import (
	"fmt"
	"time"
)

// Latest is the reference to the newest snapshot of any set and node.
const Latest = "latest"

// Find picks the snapshot that ref names: Latest, a full name, or a set (a label), of which the newest. One dated after
// now, by a clock that was wrong, is the newest only where there is no other.
// Errors wrap ErrNotFound, and ErrName where ref could name none.
func (l Listing) Find(ref string, now time.Time) (Entry, error) {
	name, parseErr := ParseName(ref)
	if parseErr != nil && CheckPart("label", ref) != nil {
		return Entry{}, fmt.Errorf("%w: %q: give latest, a label or a full name, as list shows them", ErrName, ref)
	}
	var future []Entry
	for _, e := range l.Snapshots {
		switch fits := ref == Latest || e.Name.Set == ref; {
		case parseErr == nil && e.Name == name:
			return e, nil
		case fits && e.Name.Time.After(now):
			future = append(future, e)
		case fits:
			return e, nil
		}
	}
	if len(future) > 0 {
		return future[0], nil
	}
	if ref == Latest {
		return Entry{}, fmt.Errorf("%w: none is there yet", ErrNotFound)
	}
	return Entry{}, fmt.Errorf("%w: %s: list shows what there is", ErrNotFound, ref)
}
