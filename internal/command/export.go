package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
	"etcd-rolling-backup/snapshot/kube/export"
)

// exportArgs is far more words than anybody writes.
const exportArgs = 1000

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
		Action: e.action(exportArgs, exportObjects),
	}
}

func exportObjects(ctx context.Context, c *call) (err error) {
	revision, err := config.ReadRevision(c.Context)
	if err != nil {
		return err
	}
	wanted, err := c.selection()
	if err != nil {
		return err
	}
	if f, ok := c.stdout.(*os.File); ok && c.String("to") == "" && !c.Bool("show-secrets") && term.IsTerminal(int(f.Fd())) {
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
	x := &exporting{call: c, known: known, wanted: wanted}
	if err := all.Each(ctx, x.see); err != nil {
		return err
	}
	if len(x.objects) == 0 && len(x.failed) == 0 {
		return fmt.Errorf("%w: %s has nothing of this at revision %d: ls shows what there is", browse.ErrNoKey, c.found.Name, all.Revision())
	}
	return x.finish()
}

// exporting is one run of export.
type exporting struct {
	*call
	known   *objects
	wanted  *selection
	objects []kube.Object
	failed  []error // one for each object that could not be decoded
}

func (x *exporting) see(kv browse.KeyValue) error {
	key, ok := x.known.parse(kv.Key)
	if !ok || !x.wanted.names(key) {
		return nil
	}
	// What is in the mapped file must not outlive this call.
	object, err := x.known.decoder.Decode(string(kv.Key), slices.Clone(kv.Value))
	if err != nil {
		x.failed = append(x.failed, fmt.Errorf("%s: %w", shownKey(kv.Key), err))
		return nil
	}
	if x.wanted.labels.match(object.Fields) {
		object.Value = nil
		x.objects = append(x.objects, object)
	}
	return nil
}

// finish writes the manifests, and says what they lack.
func (x *exporting) finish() error {
	o := export.Options{WithOwned: x.Bool("with-owned"), KeepAddresses: x.Bool("keep-addresses")}
	kept, left := x.objects, map[export.Reason]int{}
	if !x.Bool("as-stored") {
		kept = nil
		for i, reason := range export.Select(x.objects, o) {
			if reason == "" {
				kept = append(kept, x.objects[i])
			} else {
				left[reason]++
			}
		}
	}
	slices.SortStableFunc(kept, export.Order)
	if err := x.writeTo(x.String("to"), func(w io.Writer) error { return x.manifests(w, kept, o) }); err != nil {
		return err
	}
	x.note("%d objects of %s", len(kept), x.found.Name)
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		x.note("left out: %d, %s", left[reason], reason)
	}
	x.noteNeeds(export.NeedsOf(kept, x.known.catalog))
	for _, err := range x.failed {
		x.note("left out: %s", line(err))
	}
	if n := len(x.failed); n > 0 {
		return partialError{fmt.Errorf("%d objects could not be decoded and are not exported: the lines above name them, and get KEY -o raw shows one as it is stored", n)}
	}
	return nil
}

func (x *exporting) manifests(w io.Writer, objects []kube.Object, o export.Options) error {
	for _, object := range objects {
		fields := object.Fields
		if !x.Bool("as-stored") {
			fields = export.Strip(object, o)
		}
		text, err := kube.MarshalYAML(fields)
		if err == nil {
			_, err = fmt.Fprintf(w, "---\n%s", text)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// writeTo writes stdout, or a new file that appears complete or not at all.
func (x *exporting) writeTo(path string, write func(io.Writer) error) (err error) {
	if path == "" {
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
			err = errors.Join(fmt.Errorf("write %s: %w", filepath.Clean(path), err), os.Remove(path))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}
