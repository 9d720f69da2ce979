package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
	"etcd-rolling-backup/snapshot/member"
)

// live is, in place of a snapshot, the member as it is now.
const live = "live"

func diffCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "show what differs between two snapshots, or between a snapshot and the running cluster (live)",
		ArgsUsage: "A [B] [PREFIX]   A and B: latest, a name, a label, a file's path, or live; without B, A is compared with live",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("objects", "all", "also show Events, Leases, and changes of status or managedFields alone"),
			config.Bool("general", "exit-code", "exit with status 1 if there are differences"),
			config.LookAtFlag(), config.EncryptionFlag(), config.FormatFlag("table or json"),
		}, config.SourceFlags(), config.EtcdFlags()),
		Action: e.action(3, diff),
	}
}

// errDifferent is the exit status of diff --exit-code, and no failure.
var errDifferent = errors.New("there are differences")

// differences is what diff shows with --output json.
type differences struct {
	Before  side         `json:"before"`
	After   side         `json:"after"`
	Changes []difference `json:"changes"`
	Added   int          `json:"added"`
	Deleted int          `json:"deleted"`
	Changed int          `json:"changed"`
	Skipped skipped      `json:"skipped"`
}

// side is one of the two states.
type side struct {
	Name     string `json:"name"` // of the snapshot, or the member's endpoint
	Revision int64  `json:"revision"`
}

// skipped counts what diff does not show by default.
type skipped struct {
	Events int `json:"events"`
	Leases int `json:"leases"`
	Status int `json:"status"` // changes of status or managedFields alone
}

// difference is one key.
type difference struct {
	Key    string        `json:"key"`
	Change string        `json:"change"` // added, deleted or changed
	Fields []fieldChange `json:"fields,omitempty"`
}

// state is an opened side.
type state struct {
	browse.Cursor
	db      *browse.DB  // nil: live
	cluster snapshot.ID // 0: not known
	side    func() side
	behind  func() bool // the cluster may have more
	close   func() error
}

func diff(ctx context.Context, c *call) (err error) {
	before, after, prefix, err := diffArguments(c.Args().Slice())
	if err != nil {
		return err
	}
	key, err := readKey(prefix)
	if err != nil {
		return err
	}
	rest := []string{}
	if prefix != "" {
		rest = append(rest, prefix)
	}
	if err := c.readAt(); err != nil {
		return err
	}
	a, err := c.state(ctx, before, key, nil, append([]string{after}, rest...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	c.at = nil // it is the moment of A
	b, err := c.state(ctx, after, key, []string{before}, rest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if a.cluster != b.cluster && a.cluster != 0 && b.cluster != 0 {
		c.warn("A is of cluster %s and B of cluster %s: is this the right one? (a restored cluster has a new ID)", a.cluster, b.cluster)
	}
	return c.compare(ctx, a, b)
}

// diffArguments tells the snapshots from the prefix. Of two arguments the second is a prefix if it looks like one, and there is no such file.
func diffArguments(args []string) (before, after, prefix string, err error) {
	switch {
	case len(args) == 0 || args[0] == "":
		return "", "", "", config.Usagef("diff needs a snapshot, such as diff latest live: list shows them")
	case len(args) == 1:
		before, after = args[0], live
	case len(args) == 3:
		before, after, prefix = args[0], args[1], args[2]
	default:
		_, missing := os.Stat(args[1])
		if before, after = args[0], args[1]; strings.HasPrefix(after, `"`) || strings.HasPrefix(after, "/") && missing != nil {
			after, prefix = live, args[1]
		}
	}
	if before == after {
		return "", "", "", config.Usagef("diff %s %s compares it with itself: give two different ones", before, after)
	}
	return before, after, prefix, nil
}

// state opens a side.
func (c *call) state(ctx context.Context, ref string, prefix []byte, before, rest []string) (state, error) {
	if ref == live {
		return c.liveState(ctx, prefix)
	}
	c.before = before
	d, err := c.lookInto(ctx, ref, rest...)
	if err != nil {
		return state{}, err
	}
	l, err := d.List(ctx, prefix, 0)
	if err != nil {
		return state{}, errors.Join(err, d.Close())
	}
	s := side{c.found.Name, l.Revision()}
	return state{l, d, c.foundCluster, func() side { return s }, func() bool { return false }, d.Close}, nil
}

// liveState is the member as it is now.
func (c *call) liveState(ctx context.Context, prefix []byte) (state, error) {
	if c.origins.DetectError != nil {
		return state{}, c.origins.DetectError
	}
	cfg, err := c.cfg.Etcd.Member()
	if err != nil {
		return state{}, err
	}
	m, err := member.Connect(ctx, cfg)
	if err != nil {
		return state{}, err
	}
	keys := m.Keys(prefix, cfg.Timeout)
	return state{liveKeys{keys}, nil, m.Source().ClusterID, func() side { return side{m.Endpoint(), keys.Revision()} }, keys.MayBeBehind, m.Close}, nil
}

type liveKeys struct{ *member.Keys }

// Next implements browse.Cursor.
func (k liveKeys) Next(ctx context.Context) (browse.KeyValue, bool, error) {
	kv, err := k.Keys.Next(ctx)
	if err != nil || kv == nil {
		return browse.KeyValue{}, false, err
	}
	return browse.KeyValue{
		Key: kv.GetKey(), Value: kv.GetValue(), Created: kv.GetCreateRevision(), Modified: kv.GetModRevision(), Version: kv.GetVersion(), Lease: kv.GetLease(),
	}, true, nil
}

// objectsOf knows the objects of both sides, of which one is a snapshot. Of the running cluster the prefixes and resources are its own.
func objectsOf(ctx context.Context, keys kube.Decrypter, sides ...state) (known *objects, err error) {
	for _, s := range sides {
		if s.db == nil {
			continue
		}
		all, err := s.db.List(ctx, nil, 0)
		if err != nil {
			return nil, err
		}
		if known != nil {
			known.add(all.Keys())
			continue
		}
		if known, err = newObjects(ctx, s.db, all, keys); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// compare shows the differences as they are found.
func (c *call) compare(ctx context.Context, a, b state) error {
	keys, err := c.decrypter()
	if err != nil {
		return err
	}
	known, err := objectsOf(ctx, keys, a, b)
	if err != nil {
		return err
	}
	out := &comparison{differences: differences{Changes: []difference{}}, objects: known, all: c.Bool("all")}
	buffered := bufio.NewWriter(c.stdout)
	p := &printer{w: buffered}
	err = browse.Compare(ctx, a, b, func(before, after *browse.KeyValue) error {
		d, ok := out.see(before, after)
		switch {
		case !ok:
		case c.asJSON:
			out.Changes = append(out.Changes, d)
		default:
			d.print(p)
		}
		return p.err
	})
	if err = errors.Join(err, buffered.Flush()); err != nil {
		return err
	}
	out.Before, out.After = a.side(), b.side()
	if a.behind() || b.behind() {
		c.warn("the cluster has no quorum: live is what this member has, and others may have more")
	}
	if c.asJSON {
		err = c.show(out.differences, nil)
	} else {
		c.note("%s", out.summary())
	}
	if err == nil && c.Bool("exit-code") && out.Added+out.Deleted+out.Changed > 0 {
		return errDifferent
	}
	return err
}

func (d difference) print(p *printer) {
	sign := map[string]string{"added": "+", "deleted": "-", "changed": "~"}[d.Change]
	p.line(sign+" %s", d.Key)
	for _, f := range d.Fields {
		p.line("    %s %s -> %s", f.Path, f.Old, f.New)
	}
}

func (o *differences) summary() string {
	text := fmt.Sprintf("%s (revision %d) -> %s (revision %d): %d added, %d deleted, %d changed",
		o.Before.Name, o.Before.Revision, o.After.Name, o.After.Revision, o.Added, o.Deleted, o.Changed)
	if s := o.Skipped; s != (skipped{}) {
		text += fmt.Sprintf("; not shown (--all): %d Events, %d Leases, %d changes of status or managedFields alone", s.Events, s.Leases, s.Status)
	}
	return text
}
