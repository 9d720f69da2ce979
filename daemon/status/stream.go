package status

import "etcd-rolling-backup/snapshot"

// Stream is how fast the last snapshot was read, and what etcd felt of it.
type Stream struct {
	Rate    float64 // bytes per second, on average; 0: there was none since the start
	Latency snapshot.Latency
}

// SetStream records how fast a snapshot was read.
func (t *Tracker) SetStream(s Stream) { t.change(func(state *State) { state.Stream = s }) }
