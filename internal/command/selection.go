package command

import (
	"slices"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/kube"
)

// selection says which objects are exported.
type selection struct {
	types     []string // as they were written
	objects   []string // names; none: all
	namespace string   // "": all
	whole     string   // all that is in this namespace, and itself
	labels    labels

	resources []kube.Resource
}

// selection reads the arguments of export.
func (c *call) selection() (*selection, error) {
	args := c.Args().Slice()
	s := &selection{namespace: c.String("namespace")}
	if c.Bool("all-namespaces") {
		s.namespace = ""
	}
	switch {
	case len(args) == 0 || args[0] == "":
		return nil, config.Usagef("export needs a namespace or a type: export namespace shop, or export deploy,cm -n shop")
	case slices.Contains([]string{"namespace", "namespaces", "ns"}, args[0]) && len(args) == 2:
		s.whole = args[1]
	default:
		s.types, s.objects = strings.Split(args[0], ","), args[1:]
	}
	if resource, name, ok := strings.Cut(args[0], "/"); ok {
		if len(args) > 1 {
			return nil, config.Usagef("export TYPE/NAME takes one object: use TYPE NAME NAME for several")
		}
		s.types, s.objects = []string{resource}, []string{name}
	}
	var err error
	s.labels, err = readLabels(c.String("selector"))
	return s, err
}

// resolve finds the types.
func (s *selection) resolve(o *objects) error {
	if !o.isKubernetes() {
		return config.Usagef("the snapshot has no keys of Kubernetes: get shows single keys")
	}
	for _, t := range s.types {
		r, err := o.catalog.Find(t)
		if err != nil {
			return config.Usagef("%w", err)
		}
		s.resources = append(s.resources, r)
	}
	return nil
}

// names reports whether the object of a key is meant, labels apart.
func (s *selection) names(k kube.Key) bool {
	if s.whole != "" {
		return k.Namespace == s.whole || k.Resource == "namespaces" && k.Group == "" && k.Name == s.whole
	}
	is := func(r kube.Resource) bool { return r.Group == k.Group && r.Plural == k.Resource }
	return slices.ContainsFunc(s.resources, is) && (k.Namespace == "" || s.namespace == "" || k.Namespace == s.namespace) &&
		(len(s.objects) == 0 || slices.Contains(s.objects, k.Name))
}

// labels is a selector: all of it must fit.
type labels []label

type label struct {
	name, value string
	equal       bool // the value, or that there is one, must be so; otherwise must not
	any         bool // every value fits
}

// readLabels reads a selector: app=web, app!=web, app, !app, with commas between.
func readLabels(text string) (all labels, err error) {
	if text == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		l := label{equal: true}
		switch {
		case strings.ContainsAny(word, "() "):
			return nil, config.Usagef("--selector: %q: use app=web, app!=web, app or !app, with commas between", word)
		case strings.Contains(word, "!="):
			l.name, l.value, _ = strings.Cut(word, "!=")
			l.equal = false
		case strings.Contains(word, "="):
			l.name, l.value, _ = strings.Cut(word, "=")
			l.value = strings.TrimPrefix(l.value, "=")
		default:
			l.name, l.equal = strings.CutPrefix(word, "!")
			l.equal, l.any = !l.equal, true
		}
		if l.name == "" {
			return nil, config.Usagef("--selector: %q: use app=web, app!=web, app or !app, with commas between", text)
		}
		all = append(all, l)
	}
	return all, nil
}

func (s labels) match(fields map[string]any) bool {
	has, _ := kube.Field(fields, fieldMetadata, "labels").(map[string]any)
	for _, l := range s {
		value, found := has[l.name].(string)
		if (found && (l.any || value == l.value)) != l.equal {
			return false
		}
	}
	return true
}
