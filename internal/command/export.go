package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
	"etcd-rolling-backup/snapshot/kube/export"
)

// manyArgs is far more words than anybody writes.
const manyArgs = 1000

func exportCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write objects of Kubernetes as manifests for kubectl apply, in the order in which they can be applied",
		ArgsUsage: "namespace NS | TYPE[,TYPE...] [NAME...]   everything in a namespace, or objects as kubectl get takes them",
		Flags: slices.Concat([]cli.Flag{
			config.NamespaceFlag(), config.AllNamespacesFlag(), config.SelectorFlag(),
			config.Bool("objects", "with-owned", "also objects that a controller makes again, such as the pods of a Deployment"),
			config.Bool("objects", "keep-addresses", "keep the addresses and ports that the cluster had assigned"),
			config.Bool("objects", "as-stored", "leave nothing out: for reading, kubectl may refuse it"),
			config.Bool("objects", "show-secrets", "write to a terminal, although Secrets may be among the objects"),
			config.EncryptionFlag(),
			config.Text("objects", "to", "", "`FILE` to write, which must not exist; its mode is 0600 (default: stdout)"),
		}, config.LookFlags(), config.CertificateFlags()),
		Action: e.action(manyArgs, exportObjects),
	}
}

func exportObjects(ctx context.Context, c *call) (err error) {
	revision, err := config.ReadRevision(c.Context)
	if err != nil {
		return err
	}
	wanted, err := c.selection(c.Args().Slice())
	if err != nil {
		return err
	}
	if len(wanted.items) == 0 {
		return config.Usagef("export needs a namespace or a type: export namespace shop, or export deploy,cm -n shop")
	}
	wanted.withContents()
	if err := refuseExisting(c.String("to")); err != nil {
		return err
	}
	if f, ok := c.stdout.(*os.File); ok && toStdout(c.String("to")) && !c.Bool("show-secrets") && term.IsTerminal(int(f.Fd())) {
		return config.Usagef("the objects may hold Secrets: use --to FILE, a pipe, or --show-secrets to write to the terminal")
	}
	keys, err := c.decrypter()
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
	known, err := newObjects(ctx, d, all, keys)
	if err != nil {
		return err
	}
	if err := wanted.resolve(known); err != nil {
		return err
	}
	x := &exporting{call: c, db: d, all: all, known: known, wanted: wanted, options: export.Options{WithOwned: c.Bool("with-owned"), KeepAddresses: c.Bool("keep-addresses")}}
	if err := all.Each(ctx, x.see); err != nil {
		return err
	}
	if len(x.objects) == 0 && len(x.failed) == 0 {
		return nothing(wanted, c.found.Name, all.Revision())
	}
	return x.finish(ctx)
}

// exporting is one run of export. Of each object it keeps an outline only: there may be more of them than memory.
type exporting struct {
	*call
	db      *browse.DB
	all     *browse.List
	known   *objects
	wanted  *selection
	options export.Options
	objects []outline
	failed  []error // one for each object that could not be decoded
	endings []ending
}

// outline is what decides what becomes of an object.
type outline struct {
	kube.Object
	key string
}

func (x *exporting) see(kv browse.KeyValue) error {
	key, ok := x.known.parse(kv.Key)
	if e, deleted := x.known.ending(key, kv); deleted {
		x.endings = append(x.endings, e)
	}
	if !ok || !x.wanted.names(key) {
		return nil
	}
	object, err := x.known.decoder.Decode(key.Text, kv.Value)
	if err != nil {
		x.failed = append(x.failed, fmt.Errorf("%s: %w", shownKey(kv.Key), withRemedy(err)))
		return nil
	}
	if x.wanted.labels.match(object.Fields) {
		x.objects = append(x.objects, outline{export.Outline(object), key.Text})
	}
	return nil
}

// choose sorts out which objects are written, in which order, and counts the others by the reason.
func (x *exporting) choose() (kept []outline, left map[export.Reason]int) {
	all := make([]kube.Object, len(x.objects))
	for i, o := range x.objects {
		all[i] = o.Object
	}
	left = map[export.Reason]int{}
	kept = x.objects
	if !x.Bool("as-stored") {
		kept = nil
		for i, reason := range export.Select(all, x.options) {
			if reason == "" {
				kept = append(kept, x.objects[i])
			} else {
				left[reason]++
			}
		}
	}
	slices.SortStableFunc(kept, func(a, b outline) int { return export.Order(a.Object, b.Object) })
	return kept, left
}

// finish writes the manifests, and says what they lack.
func (x *exporting) finish(ctx context.Context) error {
	kept, left := x.choose()
	if err := x.writeTo(x.String("to"), func(w io.Writer) error { return x.manifests(ctx, w, kept) }); err != nil {
		return err
	}
	x.note("%s of %s", english.Plural(len(kept), "object", ""), x.found.Name)
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		x.note("left out: %d, %s", left[reason], reason)
	}
	var objects []kube.Object
	for _, o := range kept {
		objects = append(objects, o.Object)
	}
	x.noteNeeds(export.NeedsOf(objects, x.known.catalog))
	if err := x.noteEndings(ctx, kept); err != nil {
		return err
	}
	for _, err := range x.failed {
		x.note("left out: %s", line(err))
	}
	if n := len(x.failed); n > 0 {
		return partialError{fmt.Errorf("not exported, because they could not be decoded: %s; the lines above name them, and get KEY -o raw shows one as it is stored",
			english.Plural(n, "object", ""))}
	}
	return x.wanted.complete(x.found.Name)
}

// manifests decodes each object again and writes it.
func (x *exporting) manifests(ctx context.Context, w io.Writer, kept []outline) error {
	buffered := bufio.NewWriter(w)
	for _, o := range kept {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		kv, err := x.all.Find(o.key)
		if err != nil {
			return err
		}
		object, err := x.known.decoder.Decode(o.key, kv.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", shownKey(kv.Key), err)
		}
		fields := object.Fields
		if !x.Bool("as-stored") {
			fields = export.Strip(object, x.options)
		}
		text, err := kube.MarshalYAML(fields)
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(buffered, "---\n%s", text); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// noteNeeds says what must be there before the manifests are applied, and what no snapshot has.
func (x *exporting) noteNeeds(n export.Needs) {
	if len(n.CRDs) > 0 {
		x.note("needs these CustomResourceDefinitions, which are not in it: %s", strings.Join(n.CRDs, ", "))
	}
	if len(n.Namespaces) > 0 {
		x.note("needs these namespaces, which are not in it: %s", strings.Join(n.Namespaces, ", "))
	}
	for _, v := range n.Volumes {
		what := "its data is not in any snapshot of etcd"
		if v.ProvisionedAgain {
			what = "it gets a new, empty volume: the old data is not in any snapshot of etcd"
		}
		x.note("%s %s: %s", v.Kind, strings.TrimPrefix(v.Namespace+"/"+v.Name, "/"), what)
	}
}

// noteEndings says that some of what was meant may have been deleted before the revision, and at which one it was still there.
func (x *exporting) noteEndings(ctx context.Context, kept []outline) error {
	for _, e := range x.endings {
		if !e.concerns(x.known, kept) {
			continue
		}
		began, found, err := e.began(ctx, x.db, x.known, x.all.Revision())
		if err != nil {
			return err
		}
		remedy := "an older snapshot has all of it"
		if found {
			remedy = x.showing(began-1) + " has all of it"
		}
		x.warn("%s was being deleted, so that some of what was in it may be missing: %s", e.what, remedy)
	}
	return nil
}

// toStdout reports that no file is meant; "-" is what other programs take for stdout.
func toStdout(path string) bool { return path == "" || path == "-" }

// refuseExisting says before the work that --to names a file that exists.
func refuseExisting(path string) error {
	if toStdout(path) {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return config.Usagef("--to: %s exists: give a new file", path)
	}
	return nil
}

// writeTo writes stdout, or a new file that appears complete or not at all.
func (x *exporting) writeTo(path string, write func(io.Writer) error) (err error) {
	if toStdout(path) {
		return write(x.stdout)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return config.Usagef("--to: %s exists: give a new file", path)
	}
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("--to: %w", err), os.Remove(path))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}
