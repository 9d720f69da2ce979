package kube

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Scope says whether the objects of a resource are in namespaces.
type Scope string

// The scopes, with the names that a CustomResourceDefinition has for them. It is unknown for resources that nothing defines.
const (
	Namespaced   Scope = "Namespaced"
	Cluster      Scope = "Cluster"
	ScopeUnknown Scope = ""
)

// Resource is a type of objects, as an API server names it.
type Resource struct {
	Group, Plural, Singular, Kind string
	Scope                         Scope
	ShortNames                    []string
	Custom                        bool   // defined by a CustomResourceDefinition
	path                          string // of its keys, below the prefix
}

// Name is the resource as kubectl takes it: pods, deployments.apps.
func (r Resource) Name() string { return Key{Group: r.Group, Resource: r.Plural}.ResourceName() }

// Catalog has the resources by their names: the built-in ones, and those that were added.
type Catalog struct {
	resources []Resource
	paths     map[string]int    // path of built-in resources to their place in resources, from 1
	names     map[[2]string]int // group and plural to the same
}

// NewCatalog returns the built-in resources.
func (d *Decoder) NewCatalog() (*Catalog, error) {
	if err := d.types.load(); err != nil {
		return nil, err
	}
	c := &Catalog{paths: map[string]int{}, names: map[[2]string]int{}}
	odd := map[string]string{}
	for path, plural := range storedPaths() {
		odd[plural] = path
	}
	for _, r := range d.types.resources {
		switch {
		case r.Group == crdGroup || r.Group == "apiregistration.k8s.io": // of the two servers that keep the group in the key
			r.path = r.Group + "/" + r.Plural
		case odd[r.Plural] != "":
			r.path = odd[r.Plural]
		default:
			r.path = r.Plural
		}
		c.add(r)
		if c.paths[r.path] == 0 { // events are of two groups and stored as those of the first
			c.paths[r.path] = len(c.resources)
		}
	}
	return c, nil
}

// newResource reads a line of the table.
func newResource(words []string) (Resource, error) {
	const least, withShortNames = 5, 6
	if len(words) < least {
		return Resource{}, fmt.Errorf("resource with %d words", len(words))
	}
	r := Resource{Group: words[0], Plural: words[1], Singular: words[2], Kind: words[3], Scope: Scope(words[4])}
	if r.Group == nameOfCoreGroup {
		r.Group = ""
	}
	if len(words) == withShortNames {
		r.ShortNames = strings.Split(words[5], ",")
	}
	return r, nil
}

// AddCRD adds the resource that a CustomResourceDefinition defines.
func (c *Catalog) AddCRD(definition map[string]any) {
	text := func(path ...string) string { s, _ := Field(definition, path...).(string); return s }
	r := Resource{
		Group: text("spec", "group"), Plural: text("spec", "names", "plural"), Singular: text("spec", "names", "singular"),
		Kind: text("spec", "names", "kind"), Scope: Scope(text("spec", "scope")), Custom: true,
	}
	if r.Group == "" || r.Plural == "" || r.Kind == "" {
		return
	}
	if r.Singular == "" {
		r.Singular = strings.ToLower(r.Kind)
	}
	if r.Scope != Namespaced && r.Scope != Cluster {
		r.Scope = ScopeUnknown
	}
	names, _ := Field(definition, "spec", "names", "shortNames").([]any)
	for _, name := range names {
		if name, ok := name.(string); ok {
			r.ShortNames = append(r.ShortNames, name)
		}
	}
	r.path = r.Group + "/" + r.Plural
	c.add(r)
}

// add adds a resource; one that is there already stays, for a CustomResourceDefinition can't replace a built-in resource.
func (c *Catalog) add(r Resource) {
	name := [2]string{r.Group, r.Plural}
	if c.names[name] == 0 {
		c.resources = append(c.resources, r)
		c.names[name] = len(c.resources)
	}
}

// Resources returns all resources.
func (c *Catalog) Resources() []Resource { return slices.Clone(c.resources) }

// named returns the resource with this group and plural, or an empty one.
func (c *Catalog) named(group, plural string) Resource {
	if place := c.names[[2]string{group, plural}]; place > 0 {
		return c.resources[place-1]
	}
	return Resource{}
}

// OfKind returns the resource of an object's apiVersion and kind.
func (c *Catalog) OfKind(apiVersion, kind string) (Resource, bool) {
	group := GroupOf(apiVersion)
	for _, r := range c.resources {
		if (r.Group == group || r.isAlsoIn(group)) && r.Kind == kind {
			return r, true
		}
	}
	return Resource{}, false
}

// isAlsoIn reports a second group of a built-in resource, whose objects are stored at the same place: events have one to this day, and
// extensions is where others were before Kubernetes 1.16.
func (r Resource) isAlsoIn(group string) bool {
	switch group {
	case "events.k8s.io":
		return r.Group == "" && r.Plural == "events"
	case "extensions":
		return !r.Custom && slices.Contains([]string{"deployments", "daemonsets", "replicasets", "ingresses", "networkpolicies", "podsecuritypolicies"}, r.Plural)
	}
	return false
}

// GroupOf returns the group in an apiVersion, which is empty in v1.
func GroupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// UnknownResourceError is a type that neither Kubernetes nor a definition in the snapshot has.
type UnknownResourceError struct{ Name string }

func (e *UnknownResourceError) Error() string {
	return fmt.Sprintf("unknown resource type %q: neither Kubernetes nor a CustomResourceDefinition has it", e.Name)
}

// AmbiguousResourceError is a name that several groups of custom resources have.
type AmbiguousResourceError struct {
	Name       string
	Candidates []string
}

func (e *AmbiguousResourceError) Error() string {
	return fmt.Sprintf("resource type %q is ambiguous: use one of %s", e.Name, strings.Join(e.Candidates, ", "))
}

// Find returns the resource with this name, as kubectl takes it: plural, singular, kind or short name, with or without a group
// (deploy, Deployment, deployments.apps, deployments.v1.apps). A name with a group that nothing defines is taken as it is, for its
// definition may be what was deleted.
func (c *Catalog) Find(name string) (Resource, error) {
	word, group, hasGroup := strings.Cut(strings.ToLower(name), ".")
	if version, rest, _ := strings.Cut(group, "."); versionName.MatchString(version) {
		group = rest
	}
	inGroup := func(r Resource) bool { return !hasGroup || r.Group == group || r.isAlsoIn(group) }
	if found, err := c.find(name, word, inGroup); found.Plural != "" || err != nil {
		return found, err
	}
	inGroup = func(r Resource) bool { return strings.HasPrefix(r.Group, group) }
	if found, err := c.find(name, word, inGroup); hasGroup && (found.Plural != "" || err != nil) {
		return found, err
	}
	if strings.Contains(group, ".") && word != "" {
		return Resource{Group: group, Plural: word, Custom: true, path: group + "/" + word}, nil
	}
	return Resource{}, &UnknownResourceError{Name: name}
}

// find looks at plurals first, then at the other names. Built-in resources win, and of these the first group.
func (c *Catalog) find(name, word string, inGroup func(Resource) bool) (Resource, error) {
	for _, has := range []func(Resource) bool{
		func(r Resource) bool { return r.Plural == word },
		func(r Resource) bool { return r.Singular == word || strings.ToLower(r.Kind) == word },
		func(r Resource) bool { return slices.Contains(r.ShortNames, word) },
	} {
		var found []Resource
		for _, r := range c.resources {
			if has(r) && inGroup(r) {
				found = append(found, r)
			}
		}
		if len(found) == 1 || len(found) > 1 && !found[0].Custom {
			return found[0], nil
		}
		if len(found) > 1 {
			ambiguous := &AmbiguousResourceError{Name: name}
			for _, r := range found {
				ambiguous.Candidates = append(ambiguous.Candidates, r.Name())
			}
			return Resource{}, ambiguous
		}
	}
	return Resource{}, nil
}

var versionName = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)

// Field returns the value at a path of an object, or nil.
func Field(object map[string]any, path ...string) any {
	var value any = object
	for _, name := range path {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = fields[name]
	}
	return value
}
