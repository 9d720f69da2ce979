package command

import (
	"fmt"
	"slices"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/kube"
)

// selection says which objects are meant, as the arguments of kubectl get do.
type selection struct {
	items     []item
	namespace string   // "": all
	whole     []string // all that is in these namespaces, and themselves
	labels    labels

	found map[string]bool // the names for which there was an object
}

// item is one object, or all of a type.
type item struct {
	word, name string // as they were written; no name: all
	resource   kube.Resource
}

// selection reads arguments such as deploy,cm web settings or deploy/web cm/settings; with none it is empty.
func (c *call) selection(args []string) (*selection, error) {
	s := &selection{namespace: c.String("namespace"), found: map[string]bool{}}
	if c.Bool("all-namespaces") {
		s.namespace = ""
	}
	var err error
	if s.labels, err = readLabels(c.String("selector")); err != nil || len(args) == 0 || args[0] == "" {
		return s, err
	}
	if strings.Contains(args[0], "/") {
		for _, arg := range args {
			word, name, ok := strings.Cut(arg, "/")
			if !ok || word == "" || name == "" || strings.Contains(name, "/") {
				return nil, config.Usagef("%q: use TYPE/NAME for each object, such as deploy/web cm/settings", arg)
			}
			s.items = append(s.items, item{word: word, name: name})
		}
		return s, nil
	}
	for word := range strings.SplitSeq(args[0], ",") {
		for _, name := range args[1:] {
			s.items = append(s.items, item{word: word, name: name})
		}
		if len(args) == 1 {
			s.items = append(s.items, item{word: word})
		}
	}
	return s, nil
}

// withContents also selects what is in the namespaces that are named.
func (s *selection) withContents() {
	for _, i := range s.items {
		if slices.Contains([]string{"namespace", "namespaces", "ns"}, strings.ToLower(i.word)) && i.name != "" {
			s.whole = append(s.whole, i.name)
		}
	}
}

// resolve finds the types.
func (s *selection) resolve(o *objects) error {
	if !o.isKubernetes() {
		return config.Usagef("the snapshot has no keys of Kubernetes, so there is no %s: ls lists the keys, and get shows one", s.words())
	}
	for n := range s.items {
		i := &s.items[n]
		if i.word == "all" {
			return config.Usagef("all is not a type: name them, such as deploy,svc,cm, or use export namespace %s", s.namespace)
		}
		var err error
		if i.resource, err = o.catalog.Find(i.word); err != nil {
			return config.Usagef("%w", err)
		}
	}
	return nil
}

// one is the only object that is meant; nil: there are more.
func (s *selection) one() *item {
	if len(s.items) == 1 && s.items[0].name != "" && s.namespace != "" && len(s.labels) == 0 {
		return &s.items[0]
	}
	return nil
}

// names reports whether the object of a key is meant, labels apart.
func (s *selection) names(k kube.Key) bool {
	if slices.Contains(s.whole, k.Namespace) {
		s.found[k.Namespace] = true
		return true
	}
	for _, i := range s.items {
		if i.resource.Group == k.Group && i.resource.Plural == k.Resource && (i.name == "" || i.name == k.Name) &&
			(k.Namespace == "" || s.namespace == "" || k.Namespace == s.namespace) {
			s.found[i.name] = true
			return true
		}
	}
	return false
}

// missing are the names for which there was no object.
func (s *selection) missing() (names []string) {
	for _, i := range s.items {
		if i.name != "" && !s.found[i.name] && !slices.Contains(names, i.name) {
			names = append(names, i.name)
		}
	}
	return names
}

// complete is the error if there was no object for a name.
func (s *selection) complete(snapshot string) error {
	if names := s.missing(); len(names) > 0 {
		return fmt.Errorf("%s has no %s with the name %s: the others were found", snapshot, s.words(), strings.Join(names, ", "))
	}
	return nil
}

// severalTypes reports that objects of more than one type are meant.
func (s *selection) severalTypes() bool {
	return slices.ContainsFunc(s.items, func(i item) bool { return i.resource.Name() != s.items[0].resource.Name() })
}

// words are the types as they were written, with the name if it is one.
func (s *selection) words() string {
	if len(s.items) == 1 {
		return strings.TrimSpace(s.items[0].word + " " + s.items[0].name)
	}
	var words []string
	for _, i := range s.items {
		words = append(words, i.word)
	}
	return strings.Join(slices.Compact(words), ",")
}
