package doctest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// standIns are the programs of a machine that start, stop and show what runs there. On the test's machines they are this test's own
// program under another name, which asks the test.
func standIns() []string { return []string{"systemctl", "docker", "crictl", "kubectl"} }

// socketEnv names the socket on which a machine's stand-ins ask.
const socketEnv = "DOCTEST_SOCKET"

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(standIns(), name) {
		os.Exit(standIn(name))
	}
	// The servers of the runbook wait more than they work. A flag of the command line goes before this.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// question is a stand-in's command line, answer what it prints and its exit status.
type question struct {
	Name string
	Args []string
}

type answer struct {
	Output string
	Status int
}

func standIn(name string) int {
	a, err := ask(os.Getenv(socketEnv), question{Name: name, Args: os.Args[1:]})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	if a.Status != 0 {
		fmt.Fprint(os.Stderr, a.Output)
	} else {
		fmt.Print(a.Output)
	}
	return a.Status
}

func ask(socket string, q question) (a answer, err error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return a, err
	}
	return a, json.NewDecoder(conn).Decode(&a)
}

// answerOn answers stand-ins until the test ends.
func answerOn(t *testing.T, socket string, reply func(context.Context, question) (string, error)) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go answerOne(t.Context(), conn, reply)
		}
	}()
}

func answerOne(ctx context.Context, conn io.ReadWriteCloser, reply func(context.Context, question) (string, error)) {
	defer conn.Close()
	var q question
	if json.NewDecoder(conn).Decode(&q) != nil {
		return // the stand-in was ended
	}
	var a answer
	out, err := reply(ctx, q)
	if a.Output = out; err != nil {
		a = answer{Output: out + err.Error() + "\n", Status: 1}
	}
	_ = json.NewEncoder(conn).Encode(a)
}
