package status

// StateFile says whether the last snapshot includes the state file of the cluster, which only clusters of RKE have.
type StateFile struct {
	Asked    bool // a snapshot since the start was to include it
	Included bool
}

// SetStateFile records whether a snapshot includes the cluster's state file.
func (t *Tracker) SetStateFile(included bool) {
	t.change(func(s *State) { s.StateFile = StateFile{Asked: true, Included: included} })
}
