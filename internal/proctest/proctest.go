// Package proctest runs the programs of `make tools` as servers for tests: it finds them, gives them ports and directories,
// starts, pauses and stops them. The packages etcdtest and s3test add what is specific to a program.
//
// Its invariant: each process is identified by its PID, and is gone after [Server.Kill], even if it was paused, or when the
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

// Poll calls condition, immediately and then at each tick of every, until it is true or fails. If the context ends, it returns the
// context's cause.
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

// ReservePorts returns n different addresses of 127.0.0.1 where nothing listens. For about a minute the kernel does not assign these
// ports to a process that requests any free port, but a process can still listen on one explicitly with SO_REUSEADDR, as Go's net
// does. Afterwards another process may take one; then a start fails with [ErrPortTaken].
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

// reservePort leaves a connection of the port in TIME_WAIT, by closing the server's side first.
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
	if _, err := client.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // a Reader returns exactly this value
		return "", fmt.Errorf("wait for the end of a connection: %w", err)
	}
	return l.Addr().String(), nil
}

// MakeDir returns an absolute empty directory: dir, which it creates, or a temporary one named after prefix when dir is empty.
// A directory that is not empty is an error.
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
