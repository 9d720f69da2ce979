//go:build !race

package metrics_test

const slow = 1
