// Package e2e tests the built program as its users run it, against real etcd servers, a real MinIO and a real Prometheus, on bad days.
//
// A file is named after what it tests; *_bed_test.go holds what tests stand on. Tests run side by side: each has its own directory,
// its own etcd and its own bucket, waits for conditions and not for times, and does not depend on how fast the machine is. The program is
// the one that is shipped. Where a daemon does much at once, it has the race detector: when it stops, reloads its settings, records a journal,
// drills, shows its page, and shares a directory.
package e2e
