// Package drill proves that a snapshot can be restored by restoring it: with etcd's own library into a scratch directory. Then it
// starts an etcd on the result and checks that it contains what the snapshot contains.
//
// Invariant: a drill disturbs nothing else. The etcd listens nowhere and runs in its own process at the lowest priority, which
// the kernel kills first when memory runs out. All files are removed afterwards or, after a crash, by the next Start or
// RemoveLeftovers. The archive is only read.
package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// Parent and child exchange JSON lines: one order on the child's stdin, which then stays open as long as the parent lives;
// messages on its stdout, of which the last one has a result or an error.

// order contains what the child cannot find out itself.
type order struct {
	MinFree int64 `json:"min_free"`
	// Sections are those of the journal; without any there is none.
	Sections []journal.Section `json:"sections,omitempty"`
	Revision int64             `json:"revision,omitempty"` // up to which the journal is applied
	Prove    bool              `json:"prove,omitempty"`    // see Journal.Base
}

// message is one line from the child.
type message struct {
	Step   *Step   `json:"step,omitempty"`
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
	Kind   string  `json:"kind,omitempty"` // which sentinel the error wraps
}

// kind is an error that the parent distinguishes from others.
type kind struct {
	word string
	err  error
}

// kinds returns all of them. An error is sent as the first one that it wraps. So what blames the snapshot comes before what
// prevented the drill, and an error that wraps another one comes before that one.
func kinds() []kind {
	return []kind{
		{"contents", ErrContents},
		{"start", ErrStart},
		{"damaged", snapshot.ErrDamaged},
		{"format", snapshot.ErrFormat},
		{"different", journal.ErrDifferent},
		{"history", journal.ErrHistory},
		{"gap", journal.ErrGap},
		{"revision", journal.ErrRevision},
		{"memory", ErrMemory},
		{"skipped", ErrSkipped},
		{"full", unix.ENOSPC},
		{"quota", unix.EDQUOT},
		{"space", snapshot.ErrLowSpace},
		{"io", unix.EIO},
		{"read_only", unix.EROFS},
		{"canceled", context.Canceled},
	}
}

// failure returns the message for an error.
func failure(err error) message {
	m := message{Error: err.Error()}
	if len(m.Error) > maxError {
		m.Error = strings.ToValidUTF8(m.Error[:maxError], "") + "…"
	}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return errors.Is(err, k.err) }); i >= 0 {
		m.Kind = kinds()[i].word
	}
	return m
}

// asError returns the error in a message.
func (m message) asError() *textError {
	e := &textError{text: m.Error}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return k.word == m.Kind }); i >= 0 {
		e.kind = kinds()[i].err
	}
	return e
}

const (
	// maxMessage limits how many bytes of one line the parent keeps. The result names the types of Kubernetes.
	maxMessage = 1 << 20
	// maxError limits the text of an error, of which each byte may take 6 in a message. A panic may quote megabytes.
	maxError = 8 << 10
	// stepInterval is the shortest time between two reports of bytes in one stage.
	stepInterval = 100 * time.Millisecond
)

// messageWriter writes messages.
type messageWriter struct {
	mu   sync.Mutex
	w    io.Writer
	last Step
	sent time.Time
}

func (s *messageWriter) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(line, '\n'))
	return err
}

// step is an options.progress. Other code detects that nobody reads it.
func (s *messageWriter) step(step Step) {
	if step.Stage == s.last.Stage && step.Done < step.Total && time.Since(s.sent) < stepInterval {
		return
	}
	s.last, s.sent = step, time.Now()
	_ = s.send(message{Step: &step})
}

// messageReader parses the child's stdout. It is an io.Writer for one goroutine; read its fields after that goroutine has ended.
type messageReader struct {
	lines
	progress func(Step)
	result   *Result
	failed   *textError
	invalid  error // the first line that was not a message
}

func (l *messageReader) Write(p []byte) (int, error) { return l.split(p, l.receive), nil }

// lines splits what is written into lines, and keeps maxMessage bytes of each.
type lines struct{ line []byte }

func (l *lines) split(p []byte, receive func(line []byte)) int {
	n := len(p)
	for {
		head, rest, ended := bytes.Cut(p, []byte{'\n'})
		l.line = append(l.line, head[:min(len(head), maxMessage-len(l.line))]...)
		if !ended {
			return n
		}
		receive(l.line)
		l.line, p = l.line[:0], rest
	}
}

func (l *messageReader) receive(line []byte) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		if l.invalid == nil {
			l.invalid = fmt.Errorf("the drill's process wrote %.80q: %w", line, err)
		}
		return
	}
	switch {
	case m.Result != nil:
		l.result = m.Result
	case m.Error != "":
		l.failed = m.asError()
	case m.Step != nil && l.progress != nil:
		l.progress(*m.Step)
	}
}

// Stage is one stage of a drill.
type Stage string

// The stages of a drill, in their order.
const (
	StageUnpack  Stage = "unpack"  // decompress and verify the archive, as snapshot.Verify does
	StageMerge   Stage = "merge"   // apply the journal, if there is one
	StageRestore Stage = "restore" // restore a data directory, as etcdutl snapshot restore does
	StageHash    Stage = "hash"    // hash the content of the snapshot itself
	StageBoot    Stage = "boot"    // start an etcd on the data directory
	StageCompare Stage = "compare" // compare the content of that etcd with the snapshot's, and write a key
	StageStop    Stage = "stop"
	StageProve   Stage = "prove" // all of it, where a journal is compared with the next snapshot
)

// Step reports the progress of a drill.
type Step struct {
	Stage Stage `json:"stage"`
	Done  int64 `json:"done,omitempty"`  // bytes, of StageUnpack
	Total int64 `json:"total,omitempty"` // bytes, of StageUnpack
}

// Result reports a successful drill: the restored etcd contained everything, equal to the snapshot.
type Result struct {
	Name            string   `json:"name"`             // of the snapshot, from its manifest
	Revision        int64    `json:"revision"`         // the newest in the snapshot
	Keys            int64    `json:"keys"`             // that exist at that revision
	HashKV          uint32   `json:"hash_kv"`          // as "etcdctl endpoint hashkv" shows it at HashRevision
	HashRevision    int64    `json:"hash_revision"`    // equal to Revision
	CompactRevision int64    `json:"compact_revision"` // where the history in HashKV begins; -1: never compacted
	Sampled         int      `json:"sampled"`          // number of keys that were read one by one
	Auth            bool     `json:"auth"`             // the restored etcd requires authentication
	Alarms          []string `json:"alarms,omitempty"` // alarms of the restored etcd right after its start: CORRUPT, NOSPACE
	EtcdVersion     string   `json:"etcd_version"`     // of the etcd that was started
	Nice            int      `json:"nice"`             // the process's niceness: 19 unless the system refused it
	Took            Took     `json:"took"`
	Warnings        []string `json:"warnings,omitempty"` // what failed after the drill, which has passed all the same

	// Resources are the keys of each type of Kubernetes, see [snapshot.Database].
	Resources map[string]int64 `json:"resources,omitzero"`
	// Cluster is the one that the snapshot was taken from; 0: not known.
	Cluster snapshot.ID `json:"cluster_id,omitempty"`
	// Journal is what continued the snapshot; the fields above are those of the result then.
	Journal *Continued `json:"journal,omitempty"`
}

// Took is the duration of each stage, in nanoseconds in JSON.
type Took struct {
	Unpack  time.Duration `json:"unpack"`
	Merge   time.Duration `json:"merge,omitempty"`
	Restore time.Duration `json:"restore"`
	Hash    time.Duration `json:"hash"`
	Boot    time.Duration `json:"boot"`
	Compare time.Duration `json:"compare"`
	Stop    time.Duration `json:"stop"`
}

// All is the sum of the stages.
func (t Took) All() time.Duration {
	return t.Unpack + t.Merge + t.Restore + t.Hash + t.Boot + t.Compare + t.Stop
}

// What a drill can find in an intact archive. Such a snapshot is as useless as a damaged one, so both are a snapshot.ErrDamaged.
// Their texts do not say so, because no byte of the archive is wrong.
var (
	// ErrContents marks a snapshot whose restored content differs from its own.
	ErrContents error = &textError{"wrong contents", snapshot.ErrDamaged}
	// ErrStart marks a snapshot on which etcd cannot start or work.
	ErrStart error = &textError{"unusable by etcd", snapshot.ErrDamaged}
)

// textError is an error with its own text that wraps another one.
type textError struct {
	text string
	kind error // may be nil
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.kind }

// mismatch returns an ErrContents.
func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrContents}, args...)...)
}

// blame wraps err in fault, which blames the snapshot, unless the machine caused err.
func blame(fault, err error) error {
	for _, passing := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EROFS, unix.EFBIG} {
		if errors.Is(err, passing) {
			return err
		}
		// bbolt returns some of them as text only.
		if strings.HasSuffix(err.Error(), ": "+passing.Error()) {
			return &textError{err.Error(), passing}
		}
	}
	return fmt.Errorf("%w: %w", fault, err)
}
