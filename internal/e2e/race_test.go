//go:build race

package e2e_test

// raced says that these tests run with the race detector, and so the program does.
const raced = true
