// Package proctest runs the programs of `make tools` as servers for tests: it finds them, gives them ports and directories,
// starts, pauses and ends them. What a program means is the business of the packages on top, etcdtest and s3test.
//
// Its invariant: a process that it starts is known by its own PID, and is gone after [Server.Kill], paused or not, or when the
// program that started it dies. It needs Linux.
package proctest

import (
	"context"
	"fmt"
	"io"
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

// ReservePorts returns n different addresses of 127.0.0.1 where nothing listens. For about a minute the kernel gives their ports to
// nobody who asks for any port, and to whoever names one and sets SO_REUSEADDR, as Go's net does. Afterwards another process may
// take one, of which a start tells with [ErrPortTaken].
func ReservePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		address, err := reservePort()
		if err != nil {
			return nil, fmt.Errorf("reserve a port: %w", err)
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// reservePort leaves a connection of the port in TIME_WAIT, where the side that closes first has it.
func reservePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return "", err
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return "", err
	}
	if err := server.Close(); err != nil {
		return "", err
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // a Reader's end is this very value
		return "", fmt.Errorf("wait for the end of a connection: %w", err)
	}
	return l.Addr().String(), nil
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
