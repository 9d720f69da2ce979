// Package metrics knows how the backup is, and tells it in four ways: as Prometheus metrics, as readiness with reasons, as
// a status page, and to its own process through Health.
//
// Invariants: all four are read from one state in memory, so they never tell different stories; telling costs no request to
// etcd or S3; label values come from fixed sets, never from an error's text. The package imports no sibling: its recorders take
// plain values, and whoever does the work calls them.
package metrics
