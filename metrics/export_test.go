package metrics

import "time"

// SetStop shortens how long requests under way may hold up the server's end.
func SetStop(s *Server, d time.Duration) { s.stop = d }
