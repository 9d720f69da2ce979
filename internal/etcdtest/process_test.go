package etcdtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/proctest"
)

// orphanEnv makes this test binary a program that starts a cluster in the directory named, prints the server's PID and waits.
const orphanEnv = "ETCDTEST_ORPHAN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		c, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(c.Members[0].PID())
		select {}
	}
	os.Exit(m.Run())
}

// alive tells whether a process exists and is no zombie, which it may be until init waits for an orphan.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(text, []byte(") Z "))
}

func tryTLS(ctx context.Context, c *Cluster, config *tls.Config, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: c.Endpoints(), TLS: config, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Get(ctx, "a")
	return err
}

func TestPauseAndResume(t *testing.T) {
	c := Run(t, Options{})
	client := Dial(t, c)
	put(t, client, "a", "1")
	if err := c.Members[0].Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Get(ctx, "a"); err == nil {
		t.Error("a paused server answers")
	}
	if err := c.Members[0].Resume(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, client, "a", "1")
}

func TestRestartKeepsData(t *testing.T) {
	m := Run(t, Options{UnsafeNoFsync: true}).Members[0]
	client := Dial(t, m.cluster)
	put(t, client, "a", "1")
	for name, end := range map[string]func() error{"kill": m.Kill, "stop": m.Stop, "none": func() error { return nil }} {
		before := m.PID()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if name != "none" && (m.PID() != 0 || alive(before)) {
			t.Errorf("process %d is alive after %s", before, name)
		}
		if err := m.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.PID() == before {
			t.Errorf("the same process after %s and a restart", name)
		}
		wantValue(t, client, "a", "1")
	}
}

// A port taken while a member is down delays its restart until the port is free again.
func TestRestartWaitsForPort(t *testing.T) {
	m := Run(t, Options{}).Members[0]
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", m.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	restarted := make(chan error, 1)
	go func() { restarted <- m.Restart(t.Context()) }()
	err = proctest.Poll(t.Context(), 20*time.Millisecond, func() (bool, error) {
		text, err := os.ReadFile(m.LogPath)
		return bytes.Contains(text, []byte("address already in use")), err
	})
	if err = errors.Join(err, taken.Close()); err != nil {
		t.Error(err)
	}
	if err := <-restarted; err != nil {
		t.Error(err)
	}
}

// A server does not outlive the program that started it, even one killed outright.
func TestServerDiesWithItsProgram(t *testing.T) {
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), orphanEnv+"="+filepath.Join(t.TempDir(), "etcd"))
	program.Stderr = os.Stderr
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(stdout, &pid)
	if err != nil || !alive(pid) {
		t.Errorf("server %d does not run: %v", pid, err)
	}
	if err := program.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := program.Wait(); err == nil {
		t.Error("the program ended by itself")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := proctest.Poll(ctx, 10*time.Millisecond, func() (bool, error) { return !alive(pid), nil }); err != nil {
		t.Errorf("server %d outlives its program: %v", pid, err)
	}
}

func TestStartErrors(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, options := range map[string]Options{
		`unknown etcd version "2.3"`:                  {Version: "2.3"},
		"2 members: want 1 or 3":                      {Members: 2},
		"directory " + full + " is not empty":         {Dir: full},
		"flag provided but not defined: -no-such-one": {Flags: []string{"--no-such-one"}}, // from etcd's own log
	} {
		c, err := Start(t.Context(), options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start with %+v: %v, want %q", options, err, want)
		}
		if c != nil {
			t.Error(c.Stop())
		}
	}
}

func TestMissingProgram(t *testing.T) {
	t.Setenv(proctest.BinEnv, t.TempDir())
	_, err := Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), "run make tools") {
		t.Errorf("without programs: %v, want a word on make tools", err)
	}
}
