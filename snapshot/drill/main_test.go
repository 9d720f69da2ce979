package drill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// What this test binary is asked to be by its first argument, instead of a test.
const (
	asChild  = "be-the-child"
	asPaused = "be-a-child-that-stops" // at these stages, until it gets SIGCONT
	asParent = "be-the-parent"         // archive, directory; its child is paused in the boot
	asCrash  = "be-a-child-that-crashes"
	asMute   = "be-a-child-that-says-nothing"
	asBabble = "be-a-child-that-babbles"
	asHung   = "be-a-child-that-never-ends"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if be := roles[os.Args[1]]; be != nil {
			if err := be(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

var roles = map[string]func() error{
	asChild:  func() error { return drill.Main(context.Background(), os.Stdin, os.Stdout) },
	asPaused: paused,
	asParent: parent,
	asMute:   func() error { return nil },
	asCrash: func() error {
		go func() { panic("page 7: no such page") }()
		select {}
	},
	asBabble: func() error {
		_, err := os.Stdout.Write(bytes.Repeat([]byte("x"), 10<<20))
		return err
	},
	asHung: func() error { select {} },
}

// parent drills and tells its steps, for a test that kills it.
func parent() error {
	f, err := os.Open(os.Args[2])
	if err != nil {
		return err
	}
	_, err = drill.Start(context.Background(), drill.Child{
		Command: child(asPaused, string(drill.StageBoot)), File: f, Scratch: snapshot.NewDir(os.Args[3]),
		Progress: func(s drill.Step) { _ = json.NewEncoder(os.Stdout).Encode(s) },
	})
	return err
}

// paused is a child that stops right after it has told one of the stages named by its arguments.
func paused() error {
	on := make(chan os.Signal, 1)
	signal.Notify(on, unix.SIGCONT)
	return drill.Main(context.Background(), os.Stdin, writerFunc(func(line []byte) (int, error) {
		n, err := os.Stdout.Write(line)
		for _, stage := range os.Args[2:] {
			if err == nil && string(line) == `{"step":{"stage":"`+stage+"\"}}\n" {
				if err = unix.Kill(os.Getpid(), unix.SIGSTOP); err == nil {
					<-on // another thread may be the first to stop, and this one go on meanwhile
				}
			}
		}
		return n, err
	}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func child(role string, args ...string) []string {
	return append([]string{"/proc/self/exe", role}, args...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
