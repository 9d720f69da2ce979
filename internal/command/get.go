package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
)

const (
	getName    = "get"
	formatYAML = "yaml"
	formatRaw  = "raw"
)

func getCommand(e env) *cli.Command {
	return &cli.Command{
		Name: getName, Usage: "show one key in a snapshot, or objects of Kubernetes",
		ArgsUsage: "KEY | TYPE[,TYPE...] [NAME...] | TYPE/NAME...   such as /registry/configmaps/default/web, or cm web -n default, or cm -A",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("snapshot", "history", "show every revision of it that the snapshot retains"),
			config.NamespaceFlag(), config.AllNamespacesFlag(), config.SelectorFlag(),
			config.Bool("objects", "show-secrets", "show the values of Secrets"),
			config.EncryptionFlag(),
			config.FormatFlag("yaml, json or raw (default: yaml for one object of Kubernetes, a table for several, raw for others)"),
		}, config.LookFlags(), config.CertificateFlags()),
		Action: e.action(manyArgs, get),
	}
}

func get(ctx context.Context, c *call) error {
	revision, err := config.ReadRevision(c.Context)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	if len(args) == 0 || args[0] == "" {
		return config.Usagef("get needs a key or the type and name of an object, such as get cm web -n default: ls shows what there is")
	}
	key, err := readKey(args[0])
	if err != nil {
		return err
	}
	if _, err := readLabels(c.String("selector")); err != nil {
		return err
	}
	wanted, noObject := c.selection(args)
	if noObject != nil && len(args) > 1 {
		return noObject
	}
	decrypter, err := c.decrypter()
	if err != nil {
		return err
	}
	d, err := c.look(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	all, err := d.List(ctx, nil, revision)
	if err != nil {
		return err
	}
	o, err := newObjects(ctx, d, all, decrypter)
	if err != nil {
		return err
	}
	g := &getting{c, d, o}
	if len(args) == 1 {
		if found, err := g.show(ctx, key, revision); found || err != nil {
			return err
		}
	}
	if noObject == nil {
		noObject = wanted.resolve(o)
	}
	switch {
	case noObject == nil:
		return g.wanted(ctx, wanted, all)
	case len(args) == 1 && (!o.isKubernetes() || strings.Contains(args[0], "/")):
		return g.noKey(ctx, revision, string(key))
	}
	return noObject
}

// wanted shows one object, or several as a list.
func (g *getting) wanted(ctx context.Context, wanted *selection, all *browse.List) error {
	one := wanted.one()
	if one == nil {
		return g.list(ctx, wanted, all)
	}
	keys := one.resource.Keys(g.objects.prefixes, wanted.namespace, one.name)
	for _, key := range keys {
		if found, err := g.show(ctx, []byte(key), all.Revision()); found || err != nil {
			return err
		}
	}
	return g.noKey(ctx, all.Revision(), keys...)
}

// getting is one run of get.
type getting struct {
	*call
	db      *browse.DB
	objects *objects
}

// show shows what there is of one key; false: nothing.
func (g *getting) show(ctx context.Context, key []byte, revision int64) (found bool, err error) {
	if g.Bool("history") {
		return g.history(ctx, key)
	}
	kv, err := g.db.Get(ctx, key, revision)
	if errors.Is(err, browse.ErrNoKey) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, g.showValue(kv)
}

// hides reports that the value must not be shown.
func (g *getting) hides(key []byte) bool { return g.objects.isSecret(key) && !g.Bool("show-secrets") }

// fields decodes an object, without what must not be shown. The error says why fields is nil, or what is missing in it.
func (g *getting) fields(kv browse.KeyValue) (map[string]any, error) {
	if !g.objects.isKubernetes() {
		return nil, kube.ErrNotObject
	}
	x, err := g.objects.decoder.Decode(string(kv.Key), kv.Value)
	if x.Fields != nil && g.hides(kv.Key) {
		hideSecret(x.Fields)
	}
	return x.Fields, withRemedy(err)
}

// showValue prints an object as kubectl does, and anything else as it is stored.
func (g *getting) showValue(kv browse.KeyValue) error {
	format := g.String("output")
	if format == formatRaw {
		if g.hides(kv.Key) {
			return config.Usagef("%s is a Secret: add --show-secrets, or use -o yaml, which hides its values", shownKey(kv.Key))
		}
		return g.write(kv.Value)
	}
	fields, failed := g.fields(kv)
	if fields != nil {
		return errors.Join(g.showFields(fields, kv.Key), incompleteObject(failed, kv.Key))
	}
	if g.hides(kv.Key) {
		return fmt.Errorf("%s: %w: it is a Secret: --show-secrets shows it as it is stored", shownKey(kv.Key), failed)
	}
	if g.asJSON {
		failed = errors.Join(g.call.show(newValue(kv), nil), notDecoded(failed, kv.Key))
		return failed
	}
	if format == formatYAML && errors.Is(failed, kube.ErrNotObject) {
		failed = errors.New("not an object of Kubernetes")
	}
	return errors.Join(g.write(kv.Value), notDecoded(failed, kv.Key))
}

// notDecoded is the error after a value was shown as it is stored; nil: it is no object.
func notDecoded(err error, key []byte) error {
	if err == nil || errors.Is(err, kube.ErrNotObject) {
		return nil
	}
	return partialError{fmt.Errorf("%s is shown as it is stored: %w", shownKey(key), err)}
}

// incompleteObject is the error after an object was shown without some of its fields.
func incompleteObject(err error, key []byte) error {
	if err == nil {
		return nil
	}
	return partialError{fmt.Errorf("%s is not complete: %w", shownKey(key), err)}
}

func (g *getting) showFields(fields map[string]any, key []byte) error {
	if g.hides(key) {
		g.note("the values are hidden: --show-secrets shows them")
	}
	if g.asJSON {
		text, err := kube.MarshalJSON(fields, true)
		if err != nil {
			return err
		}
		_, err = g.stdout.Write(printable.JSON(text))
		return err
	}
	text, err := kube.MarshalYAML(fields)
	if err != nil {
		return err
	}
	return g.write(text)
}

// value is what get shows of a key with --output json.
type value struct {
	keyRow
	Value  *string `json:"value,omitempty"` // a text
	Base64 string  `json:"value_base64,omitempty"`
}

func newValue(kv browse.KeyValue) value {
	v := value{keyRow: newKeyRow(kv)}
	if text := string(kv.Value); utf8.Valid(kv.Value) {
		v.Value = &text
	} else {
		v.Base64 = base64.StdEncoding.EncodeToString(kv.Value)
	}
	return v
}

// write writes the bytes as they are, or to a terminal so that they do no harm there.
func (c *call) write(b []byte) error {
	if f, ok := c.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, err := fmt.Fprintln(printable.Writer(c.stdout), strings.TrimSuffix(string(b), "\n"))
		return err
	}
	_, err := c.stdout.Write(b)
	return err
}
