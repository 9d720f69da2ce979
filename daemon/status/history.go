package status

import (
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot"
)

// maxHistory is the maximum number of failures in the State.
const maxHistory = 10

// remember adds f to the history, or counts it in the last entry of its kind if both are the same.
func (s *State) remember(f Failure) {
	f.Since, f.Times = f.At, 1
	list := slices.Clone(s.History)
	last := slices.IndexFunc(list, func(q Failure) bool { return q.Job == f.Job && q.Place == f.Place })
	if last >= 0 && list[last].Name == f.Name && list[last].Reason == f.Reason && list[last].Message == f.Message {
		list[last].Times++
		list[last].At = f.At
	} else {
		var known bool
		if list, known = mergeDamage(list, f); known {
			return
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b Failure) int { return b.At.Compare(a.At) })
	s.History = list[:min(len(list), maxHistory)]
}

// mergeDamage finds an entry for the same damage from another job: a drill begins with a verification, and the mirror reports a
// damaged archive before its pass ends. known: the list has the damage already. If f has the longer text, the other entry is removed.
func mergeDamage(list []Failure, f Failure) (rest []Failure, known bool) {
	if f.Reason != Damaged || f.Message == "" {
		return list, false
	}
	none := snapshot.Name{}
	for i, q := range list {
		if q.Job == f.Job || q.Reason != Damaged || q.Message == "" || q.Name != f.Name && q.Name != none && f.Name != none {
			continue
		}
		if strings.Contains(q.Message, f.Message) {
			return list, true
		}
		if strings.Contains(f.Message, q.Message) {
			return slices.Delete(list, i, i+1), false
		}
	}
	return list, false
}
