package journal_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// recorderVariable makes a recorder of the test binary: what it is to record, in JSON.
const recorderVariable = "JOURNAL_TEST_RECORDER"

func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(recorderVariable); ok {
		var j job
		err := json.Unmarshal([]byte(text), &j)
		if err == nil {
			err = j.run(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// job is what a recorder process does: it continues the journal in a directory, or begins it with a revision.
type job struct {
	Dir, Node, Endpoint string
	From                int64
	Sync, Seal          time.Duration
	SealSize            int64
}

// run prints a line for each revision that is in the journal's file.
func (j job) run(ctx context.Context) error {
	m, err := member.Connect(ctx, member.Config{Endpoints: []string{j.Endpoint}, Timeout: 20 * time.Second})
	if err != nil {
		return err
	}
	dir := snapshot.NewDir(j.Dir)
	last, digest, err := resume(ctx, dir)
	if err != nil {
		return err
	}
	w, err := m.Watch(ctx, max(last, j.From))
	if err != nil {
		return err
	}
	src := m.Source()
	o := journal.Options{
		Header: journal.Header{Node: j.Node, ClusterID: src.ClusterID, MemberID: src.MemberID, EtcdVersion: src.EtcdVersion},
		Sync:   j.Sync, Seal: j.Seal, SealSize: j.SealSize, Timeout: 10 * time.Second, Seen: func(last, _ int64) { fmt.Println(last) },
	}
	fmt.Println(last)
	return journal.NewRecorder(dir, o, last, digest).Run(ctx, w, m, w.Head)
}

// resume completes what a dead recorder left, and returns where the journal ends.
func resume(ctx context.Context, dir *snapshot.Dir) (last int64, digest string, err error) {
	files, err := os.ReadDir(dir.Path())
	if err != nil {
		return 0, "", err
	}
	var end snapshot.SegmentName
	for _, f := range files {
		n, err := snapshot.ParseSegmentName(f.Name())
		if err != nil {
			continue
		}
		if !n.Complete() {
			m, err := journal.Recover(ctx, dir, n)
			if errors.Is(err, journal.ErrEmpty) {
				continue
			}
			if err != nil {
				return 0, "", err
			}
			if n, err = snapshot.ParseSegmentName(m.Name); err != nil {
				return 0, "", err
			}
		}
		if n.Last > end.Last {
			end = n
		}
	}
	if end.Last == 0 {
		return 0, "", nil
	}
	f, err := dir.OpenSegment(end)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	s, err := journal.Open(f, info.Size())
	if err != nil {
		return 0, "", err
	}
	return s.Last, s.LastDigest, nil
}

// process is a recorder process.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr strings.Builder

	mu   sync.Mutex
	last int64         // in the journal's file, as it said
	more chan struct{} // closed when that grows
	end  chan struct{} // closed when it has closed its output
}

// start starts one, which the test must end.
func (j job) start(t testing.TB) *process {
	t.Helper()
	text, err := json.Marshal(j)
	must(t, err)
	p := &process{t: t, cmd: exec.Command(os.Args[0]), more: make(chan struct{}), end: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), recorderVariable+"="+string(text))
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	go p.read(out)
	return p
}

func (p *process) read(out io.Reader) {
	defer close(p.end)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var last int64
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			continue // cut off
		}
		p.mu.Lock()
		p.last = last
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// reach waits until the journal's file has a revision.
func (p *process) reach(revision int64) {
	p.t.Helper()
	for limit := time.After(2 * time.Minute); ; {
		p.mu.Lock()
		last, more := p.last, p.more
		p.mu.Unlock()
		if last >= revision {
			return
		}
		select {
		case <-more:
		case <-p.end:
			p.t.Fatalf("the recorder ended at revision %d, before %d: %v: %s", last, revision, p.cmd.Wait(), &p.stderr)
		case <-limit:
			p.t.Fatalf("the recorder is at revision %d, not at %d", last, revision)
		}
	}
}

// kill kills it, and returns the last revision that it said to be in the file.
func (p *process) kill() int64 {
	p.t.Helper()
	must(p.t, p.cmd.Process.Kill())
	<-p.end
	if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.Exited() {
		p.t.Fatalf("the recorder had ended before: %v: %s", err, &p.stderr)
	}
	return p.last
}
