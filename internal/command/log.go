package command

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
			config.Text("journal", "since", "", "changes from `MOMENT` on: such as 14:03:06, \"10m ago\", \"2026-11-29 14:03:06\" or 2026-11-29T14:03:06Z"),
			config.Text("journal", "until", "", "changes up to `MOMENT`"),
			config.Text("journal", "prefix", "", "only keys that begin with `PREFIX`, such as /registry/configmaps/"),
			config.EncryptionFlag(), config.OutputFlag(),
			config.Text("store", "from", string(config.Local), "`PLACE`: local, s3 or all"),
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
	since, until time.Time // zero: not given
	prefix       []byte
	decoder      *kube.Decoder

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

// read reads the flags.
func (l *logging) read(now time.Time) (err error) {
	for flag, moment := range map[string]*time.Time{"since": &l.since, "until": &l.until} {
		if text := l.String(flag); text != "" {
			if *moment, err = config.ParseMoment(text, now); err != nil {
				return config.Usagef("--%s: %w", flag, err)
			}
		}
	}
	if !l.until.IsZero() && l.until.Before(l.since) {
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
		if r.At.Before(l.since) || !l.until.IsZero() && r.At.After(l.until) {
			return nil
		}
		for _, b := range batch {
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
	if l.asJSON {
		line, err := json.Marshal(change)
		if err == nil {
			_, err = l.out.Write(append(printable.JSON(line), '\n'))
		}
		return err
	}
	change.print(&l.printed)
	return l.printed.err
}

func (x loggedChange) print(out *printer) {
	late, by := " ", ""
	if x.Late {
		late = "≤"
	}
	if x.Manager != "" {
		by = "  by " + x.Manager
	}
	out.line("%s%s  %d  %-6s  %s%s", late, x.Time.Format("2006-01-02 15:04:05.000 UTC"), x.Revision, x.Change, x.Key, by)
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
