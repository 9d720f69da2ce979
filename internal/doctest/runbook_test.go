package doctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

const runbook = "../../docs/RESTORE.md"

// checks are what may stand behind "then" in a mark.
func checks() map[string]func(t *testing.T, b *bed) {
	return map[string]func(t *testing.T, b *bed){
		"the snapshot is back":         func(t *testing.T, b *bed) { b.wantKeys(t, snapshotKeys(), false) },
		"the snapshot is back, raised": func(t *testing.T, b *bed) { b.wantKeys(t, snapshotKeys(), true) },
		"the later keys are there":     func(t *testing.T, b *bed) { b.wantKeys(t, laterKeys(), false) },
		"nothing runs": func(t *testing.T, b *bed) {
			for _, m := range b.machines {
				if m.etcd.PID() != 0 {
					t.Errorf("etcd runs on %s", m.name)
				}
			}
		},
		"etcd starts on /var/tmp/restored-etcd": startsOnLaptop,
	}
}

// Every command of the runbook is carried out, in its order, in the situation that its section is for.
func TestRunbook(t *testing.T) {
	p := newPlace(t)
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	disasters := disasters()
	for _, s := range sections(t, string(text)) {
		prepare := disasters[s.title]
		delete(disasters, s.title)
		if prepare == nil {
			t.Errorf("no disaster for the section %q", s.title)
			continue
		}
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			s.carryOut(t, prepare(t, p))
		})
		if s.title == "kubeadm" { // with one control plane node too, which has no need of some steps
			t.Run(s.title+" alone", func(t *testing.T) {
				t.Parallel()
				s.carryOut(t, kubeadmChanged(t, p))
			})
		}
	}
	for title := range disasters {
		t.Errorf("no section %q with commands", title)
	}
}

// section is a heading and the blocks below it.
type section struct {
	title  string
	blocks []block
}

// carryOut runs all blocks in their order.
func (s section) carryOut(t *testing.T, b *bed) {
	t.Helper()
	for i, step := range s.blocks {
		// What needs an API server is run by the test that the mark names.
		if step.shell() && !strings.HasPrefix(step.mark, "tested elsewhere: make test-kubernetes, ") {
			b.carryOut(t, step, outputOf(s.blocks[i+1:]))
		}
	}
	for name, background := range b.background {
		b.end(t, name, background)
	}
}

// sections are those with commands.
func sections(t *testing.T, text string) []section {
	t.Helper()
	all, err := blocks(text)
	if err != nil {
		t.Fatal(err)
	}
	var out []section
	inside := false
	for i, line := range strings.Split(text, "\n") {
		heading := regexp.MustCompile(`^##? (.*)$`).FindStringSubmatch(line)
		switch fence := strings.HasPrefix(strings.TrimSpace(line), "```"); {
		case fence:
			inside = !inside
			if inside {
				last := &out[len(out)-1]
				last.blocks = append(last.blocks, all[0])
				all = all[1:]
			}
		case !inside && heading != nil:
			out = append(out, section{title: heading[1]})
		case !inside && strings.HasPrefix(line, "#"):
			t.Errorf("line %d: a heading of a third level is none that has a disaster", i+1)
		}
	}
	var shown []section
	for _, s := range out {
		for _, b := range s.blocks {
			if b.shell() {
				shown = append(shown, s)
				break
			}
		}
	}
	return shown
}

// outputOf is the block right behind a command that shows what it says.
func outputOf(rest []block) *block {
	if len(rest) > 0 && rest[0].mark == "output" {
		return &rest[0]
	}
	return nil
}

var stepMark = regexp.MustCompile(`^run by TestRunbook: (if there are several, )?on (each node|each other node|the laptop|[\w-]+)` +
	`( at once|, with its name|)(, in the background until it says .+|, next to it|, fails|)(?:; then (.*))?$`)

const backgroundMark = ", in the background until it says "

// where are the machines that a mark means.
func (b *bed) where(t *testing.T, step block, words string) []*machine {
	t.Helper()
	switch words {
	case "each node":
		return b.machines
	case "each other node":
		return b.machines[1:]
	}
	for _, m := range b.machines {
		if m.name == strings.TrimPrefix(words, "the ") {
			return []*machine{m}
		}
	}
	t.Fatalf("line %d: there is no %s", step.line, words)
	return nil
}

// carryOut runs a block where its mark says.
func (b *bed) carryOut(t *testing.T, step block, output *block) {
	t.Helper()
	mark := stepMark.FindStringSubmatch(step.mark)
	if mark == nil {
		t.Fatalf("line %d: %q is no mark of the runbook", step.line, step.mark)
	}
	if mark[1] != "" && len(b.machines) == 1 {
		return
	}
	on := b.where(t, step, mark[2])
	for _, m := range on {
		if background := b.background[m.name]; background != nil && mark[4] != ", next to it" {
			b.end(t, m.name, background)
		}
		m.translate(t)
	}
	var err error
	switch {
	case strings.HasPrefix(mark[4], backgroundMark):
		err = b.begin(t, on[0], step, strings.TrimPrefix(mark[4], backgroundMark))
	case mark[3] == " at once":
		err = eachAtOnce(on, func(m *machine) error { return m.step(t.Context(), step, output, false) })
	default:
		for _, m := range on {
			mine := step
			if mark[3] == ", with its name" {
				mine.text = regexp.MustCompile(`--name node-\w`).ReplaceAllString(step.text, "--name "+m.name)
			}
			err = errors.Join(err, m.step(t.Context(), mine, output, mark[4] == ", fails"))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if mark[5] == "" {
		return
	}
	check := checks()[mark[5]]
	if check == nil {
		t.Fatalf("line %d: there is no check %q", step.line, mark[5])
	}
	check(t, b)
	if t.Failed() {
		t.Fatalf("line %d: after this block", step.line)
	}
}

// step runs a block to its end.
func (m *machine) step(ctx context.Context, step block, output *block, fails bool) error {
	ctx, cancel := context.WithTimeout(ctx, processLimit)
	defer cancel()
	cmd := m.command(ctx, step.text)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with all that it started
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || (err != nil) != fails {
		return fmt.Errorf("line %d on %s: %s\n%s\n%s", step.line, m.name, fmt.Sprint(err), step.text, out[max(0, len(out)-proctest.TailSize):])
	}
	if output == nil {
		return nil
	}
	return m.shows(*output, string(out))
}

// begin runs a block that goes on, and waits until it says something.
func (b *bed) begin(t *testing.T, m *machine, step block, says string) error {
	t.Helper()
	started := m.start(t, step.text)
	b.background[m.name] = started
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		select {
		case <-started.ended:
			return false, errors.New("ended by itself")
		default:
			return strings.Contains(started.output(t), says), nil
		}
	})
	if err != nil {
		return fmt.Errorf("line %d on %s: wait for %q: %w\n%s", step.line, m.name, says, err, started.output(t))
	}
	return nil
}

// end is Ctrl-C.
func (b *bed) end(t *testing.T, name string, p *process) {
	t.Helper()
	delete(b.background, name)
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Errorf("end %s: %v", p.cmd, err)
	}
	limit := time.NewTimer(processLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		t.Errorf("goes on after Ctrl-C; killed: %v", syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.ended
	}
}
