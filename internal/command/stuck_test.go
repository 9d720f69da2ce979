package command

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// The daemon ends with its status where its last words can't be written.
func TestEndsWithALogThatIsStuck(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	unread, log, err := os.Pipe()
	must(t, err)
	defer unread.Close()
	defer log.Close()
	must(t, log.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	_, _ = log.Write(make([]byte, 4<<20)) // all that it takes
	must(t, log.SetWriteDeadline(time.Time{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status := make(chan int)
	go func() {
		status <- Main(ctx, "1.2.3-test", []string{
			program, "daemon", "--dir", t.TempDir(), "--node", "n1", "--endpoints", "127.0.0.1:1",
			"--listen", taken.Addr().String(), "--drill-schedule", "off", "--min-free", "0",
		}, io.Discard, log)
	}()
	select {
	case got := <-status:
		if got != exitFailed {
			t.Errorf("status %d, want %d", got, exitFailed)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for its last line")
	}
}
