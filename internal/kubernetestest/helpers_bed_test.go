//go:build kubernetes

package kubernetestest

import (
	"context"
	"maps"
	"reflect"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

const (
	writers   = 8 // requests at a time
	waitLimit = time.Minute
)

// parallel calls f for the numbers from one up to another, some at a time, and fails the test with its errors.
func parallel(t *testing.T, from, to int, f func(ctx context.Context, n int) error) {
	t.Helper()
	numbers := make(chan int)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for n := range numbers {
				if err := f(t.Context(), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := from; n < to; n++ {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func same(a, b map[string]object) bool {
	return maps.EqualFunc(a, b, func(x, y object) bool { return reflect.DeepEqual(x, y) })
}

// eventually asks until the condition holds; it fails the test when it does not in time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := proctest.Poll(ctx, 5*time.Millisecond, func() (bool, error) { return condition(), nil }); err != nil {
		t.Fatalf("in vain waited until %s: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
