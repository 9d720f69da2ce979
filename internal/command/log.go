package command

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/kube"
)

func logCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "show which keys were changed when, from the journal, the newest change last",
		Flags: slices.Concat([]cli.Flag{
			config.Text("journal", "since", "", "changes from `MOMENT` on: a revision, or a time such as 14:03:06, \"10m ago\", \"2026-11-29 14:03:06\" or 2026-11-29T14:03:06Z"),
			config.Text("journal", "until", "", "changes up to `MOMENT`, a revision or a time"),
			config.Text("journal", "prefix", "", "only keys that begin with `PREFIX`, such as /registry/configmaps/"),
			config.EncryptionFlag(), config.OutputFlag(),
			config.Text("store", "from", "", "`PLACE`: local, s3 or all (default: local, or s3 if this machine has no directory)"),
		}, config.ShownNodeFlags(), config.DirFlags(), config.S3Flags()),
		Action: e.action(0, showLog),
	}
}

// loggedChange is one change of a key. With --output json each is a line of its own.
type loggedChange struct {
	Time     time.Time `json:"time"`
	Late     bool      `json:"late,omitempty"` // the journal was not connected then: the change may be older
	Revision int64     `json:"revision"`
	Change   string    `json:"change"` // put or delete
	Key      string    `json:"key"`
	// Of a put.
	Manager string `json:"manager,omitempty"` // who wrote the object of Kubernetes, as it says itself
	Version int64  `json:"version,omitempty"` // 1: the key was created
	Size    int    `json:"size,omitempty"`    // of the value, bytes
	Lease   int64  `json:"lease,omitempty"`
}

// logging prints the changes of one call.
type logging struct {
	*call
	since, until point
	prefix       []byte
	decoder      *kube.Decoder

	unread  string // that a place was not read, until that is said
	shown   int    // changes
	out     *bufio.Writer
	printed printer
	batch   []recordedChange // since the last checkpoint, which says when they were received
}

// recordedChange is a change whose time is not yet known.
type recordedChange struct {
	journal.Record
	data []byte
}

func showLog(ctx context.Context, c *call) (err error) {
	l := &logging{call: c, out: bufio.NewWriter(c.stdout)}
	l.printed.w = printable.Writer(l.out)
	if err := l.read(time.Now()); err != nil {
		return err
	}
	keys, err := c.decrypter()
	if err != nil {
		return err
	}
	l.decoder = kube.NewDecoder(keys)
	if err := l.place(); err != nil {
		return err
	}
	from, failed, err := listNodes(ctx, c)
	if err != nil {
		return err
	}
	for _, p := range from {
		defer p.Close()
	}
	err = l.show(ctx, from)
	return errors.Join(err, l.printed.err, l.out.Flush(), incomplete(failed))
}

// place chooses the disk unless another place is asked for: it has the newest changes, and fetching days of a journal takes long. A machine without
// the directory has only the bucket.
func (l *logging) place() error {
	_, err := os.Stat(l.cfg.Store.Dir)
	if l.String("from") != "" || l.cfg.S3 != nil && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return l.Set("from", string(config.Local))
}

// point is one end of what is shown; zero: it was not given.
type point struct {
	revision int64
	at       time.Time
}

// follows reports that the change of a revision, which was received at that time, was before it. A time as it is shown is not before itself.
func (p point) follows(revision int64, at time.Time) bool {
	if p.at.Equal(p.at.Truncate(time.Millisecond)) {
		at = shown(at)
	}
	return revision < p.revision || at.Before(p.at)
}

// shown is the time with which a change is listed: rounded up, so that the state at that time has it.
func shown(at time.Time) time.Time {
	if cut := at.Truncate(time.Millisecond); cut.Before(at) {
		return cut.Add(time.Millisecond)
	}
	return at
}

// passed reports that the change was after it.
func (p point) passed(revision int64, at time.Time) bool {
	return p.revision > 0 && revision > p.revision || !p.at.IsZero() && at.After(p.at)
}

// read reads the flags.
func (l *logging) read(now time.Time) (err error) {
	for _, x := range []struct {
		flag string
		*point
	}{{"since", &l.since}, {"until", &l.until}} {
		text := l.String(x.flag)
		if text == "" {
			continue
		}
		if x.revision, x.at, err = config.ParsePoint(text, now); err != nil {
			return config.Usagef("--%s: %w", x.flag, err)
		}
		if config.Yesterdays(text, now) {
			l.note("--%s %s is yesterday's, %s: today's is in the future", x.flag, text, moment(x.at))
		}
	}
	if !l.until.at.IsZero() && l.until.at.Before(l.since.at) || l.until.revision > 0 && l.until.revision < l.since.revision {
		return config.Usagef("--until %s is before --since %s", l.String("until"), l.String("since"))
	}
	l.prefix, err = readKey(l.String("prefix"))
	return err
}

// add keeps a change until its time is known, and prints those whose time is.
func (l *logging) add(r journal.Record) error {
	switch r.Kind {
	case journal.KindPut, journal.KindDelete:
		if l.wants(r) {
			l.batch = append(l.batch, recordedChange{r, bytes.Clone(r.Data)})
		}
	case journal.KindCheckpoint:
		batch := l.batch
		l.batch = l.batch[:0]
		for _, b := range batch {
			if l.since.follows(b.Revision, r.At) || l.until.passed(b.Revision, r.At) {
				continue
			}
			if err := l.print(b, r); err != nil {
				return err
			}
		}
	case journal.KindHeader, journal.KindLease, journal.KindCompaction:
	}
	return nil
}

// wants reports whether the key begins with the prefix.
func (l *logging) wants(r journal.Record) bool {
	key := r.Data
	if r.Kind == journal.KindPut {
		var n int
		if _, _, n = protowire.ConsumeTag(key); n < 0 {
			return true // print reports what is wrong
		}
		if key, n = protowire.ConsumeBytes(key[n:]); n < 0 { // the key is the first field
			return true
		}
	}
	return bytes.HasPrefix(key, l.prefix)
}

func (l *logging) print(b recordedChange, checkpoint journal.Record) error {
	change := loggedChange{Time: checkpoint.At.UTC(), Late: checkpoint.Late, Revision: b.Revision, Change: "delete"}
	key := b.data
	if b.Kind == journal.KindPut {
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(b.data, &kv); err != nil {
			return fmt.Errorf("%w: the change of revision %d: %w", snapshot.ErrDamaged, b.Revision, err)
		}
		key = kv.GetKey()
		change.Change, change.Version, change.Size, change.Lease = "put", kv.GetVersion(), len(kv.GetValue()), kv.GetLease()
		change.Manager = l.manager(string(key), kv.GetValue())
	}
	change.Key = shownKey(key)
	l.shown++
	if l.asJSON {
		return l.printJSON(change)
	}
	change.print(&l.printed)
	return l.printed.err
}

func (l *logging) printJSON(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = l.out.Write(append(printable.JSON(line), '\n'))
	}
	return err
}

// loggedWarning is a line of --output json between the changes.
type loggedWarning struct {
	Warning string `json:"warning"`
}

// warn reports what is missing, or that something else begins.
func (l *logging) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.note("warning: %s", text)
	if l.asJSON {
		l.printed.err = cmp.Or(l.printed.err, l.printJSON(loggedWarning{text}))
	}
}

func (x loggedChange) print(out *printer) {
	late, by := " ", ""
	if x.Late {
		late = "≤"
	}
	if x.Manager != "" {
		by = "  by " + x.Manager
	}
	out.line("%s%s  %d  %-6s  %s%s", late, shown(x.Time).Format("2006-01-02 15:04:05.000 UTC"), x.Revision, x.Change, x.Key, by)
}

// manager is who wrote an object of Kubernetes last, as its managedFields say; "": it does not say, or it is none.
func (l *logging) manager(key string, value []byte) (name string) {
	x, _ := l.decoder.Decode(key, value) // what can't be decoded says nothing
	entries, _ := kube.Field(x.Fields, fieldMetadata, "managedFields").([]any)
	var newest time.Time
	for _, e := range entries {
		m, _ := e.(map[string]any)
		text, _ := m["time"].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil && len(entries) > 1 || at.Before(newest) {
			continue
		}
		newest = at
		name, _ = m["manager"].(string)
	}
	return name
}

// flush is for a terminal, or a reader that waits.
func (l *logging) flush() error { return cmp.Or(l.printed.err, l.out.Flush()) }
