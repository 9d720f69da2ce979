// Package proctest runs the programs of `make tools` as servers for tests: it finds them, gives them ports and directories,
// starts, pauses and ends them. What a program means is the business of the packages on top, etcdtest and s3test.
//
// Its invariant: a process that it starts is known by its own PID, and is gone after [Server.Kill], paused or not, or when the
// program that started it dies. It needs Linux.
package proctest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Poll calls condition, at once and then at each tick of every, until it holds, fails or the context ends, whose cause it returns.
func Poll(ctx context.Context, every time.Duration, condition func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReservePorts returns n different addresses of 127.0.0.1 that were free a moment ago. It holds all of them until the last
// is known; afterwards another process may take one, of which a start tells with [ErrPortTaken].
func ReservePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("reserve a port: %w", err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// MakeDir returns an absolute empty directory: dir, which it creates, or a temporary one named after prefix when dir is empty.
// A directory with something in it is an error.
func MakeDir(dir, prefix string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", prefix)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("directory %s is not empty", dir)
	}
	return dir, err
}
