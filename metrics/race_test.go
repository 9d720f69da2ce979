//go:build race

package metrics_test

// slow is by how much the race detector slows down, at most.
const slow = 20
