package kube

import (
	"iter"
	"slices"
	"strings"
)

// Key is a key in etcd, and the object that it names. Keys of something else have an empty Resource.
type Key struct {
	Text      string // all of it
	Prefix    string // of the cluster, without a slash at its end: /registry
	Group     string // empty for the group of pods and secrets
	Resource  string // the plural: pods, deployments
	Namespace string // empty for what is in no namespace
	Name      string
}

// ResourceName is the resource as kubectl takes it: pods, deployments.apps.
func (k Key) ResourceName() string {
	if k.Group == "" {
		return k.Resource
	}
	return k.Resource + "." + k.Group
}

// usualPrefixes are those that API servers have by default: Kubernetes', and the two of OpenShift.
func usualPrefixes() []string { return []string{"/registry", "/kubernetes.io", "/openshift.io"} }

// Prefixes returns the prefixes under which clusters keep their objects, for an API server takes any (--etcd-prefix): what comes before
// the namespaces that no cluster is without, and the usual prefixes as far as there are keys under them.
func Prefixes(keys iter.Seq[string]) []string {
	var found []string
	add := func(prefix string) {
		if !slices.Contains(found, prefix) {
			found = append(found, prefix)
		}
	}
	usual := usualPrefixes()
	for key := range keys {
		if prefix, ok := strings.CutSuffix(key, "/namespaces/kube-system"); ok && (prefix == "" || prefix[0] == '/') {
			add(prefix)
		}
		usual = slices.DeleteFunc(usual, func(prefix string) bool {
			if strings.HasPrefix(key, prefix+"/") {
				add(prefix)
				return true
			}
			return false
		})
	}
	slices.Sort(found)
	return found
}

// Layouts of keys below the prefix:
//
//	RESOURCE/[NAMESPACE/]NAME          built-in types; their group is not in the key
//	GROUP/RESOURCE/[NAMESPACE/]NAME    custom resources, their definitions, API services; a group has a dot, a built-in type has none
//
// Some built-in types have the name of an older time, see storedPaths. What API servers keep for themselves is no resource.

// storedPaths has the path of each resource whose path is not its plural.
func storedPaths() map[string]string {
	return map[string]string{
		"services/specs":     "services",
		"services/endpoints": "endpoints",
		"minions":            "nodes",
		"controllers":        "replicationcontrollers",
		"ingress":            "ingresses",
		"podsecuritypolicy":  "podsecuritypolicies",
	}
}

// isOwnPath reports what API servers keep for themselves: their addresses, and which addresses and ports of services are taken.
func isOwnPath(part string) bool {
	return part == "ranges" || part == "masterleases" || part == "peerserverleases"
}

// ParseKey finds the object that a key names; false if it names none. The prefixes are those of Prefixes.
func (c *Catalog) ParseKey(text string, prefixes []string) (Key, bool) {
	key := Key{Text: text}
	longest := -1
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix+"/") && len(prefix) > longest {
			longest, key.Prefix = len(prefix), prefix
		}
	}
	if longest < 0 {
		return key, false
	}
	parts := strings.Split(text[longest+1:], "/")
	if slices.Contains(parts, "") || isOwnPath(parts[0]) {
		return key, false
	}
	var known Resource
	switch {
	case strings.Contains(parts[0], ".") && len(parts) > 2:
		key.Group, key.Resource = parts[0], parts[1]
		known = c.named(key.Group, key.Resource)
		parts = parts[2:]
	case len(parts) > 2 && c.paths[parts[0]+"/"+parts[1]] != 0:
		known, parts = c.resources[c.paths[parts[0]+"/"+parts[1]]-1], parts[2:]
		key.Group, key.Resource = known.Group, known.Plural
	case c.paths[parts[0]] != 0:
		known, parts = c.resources[c.paths[parts[0]]-1], parts[1:]
		key.Group, key.Resource = known.Group, known.Plural
	default:
		key.Resource, parts = parts[0], parts[1:]
	}
	switch {
	case len(parts) == 1 && known.Scope != Namespaced:
		key.Name = parts[0]
	case len(parts) == 2 && known.Scope != Cluster:
		key.Namespace, key.Name = parts[0], parts[1]
	default:
		return Key{Text: text, Prefix: key.Prefix}, false
	}
	return key, true
}

// Keys returns the keys that an object may have, one for each prefix; without a scope that is known, with the namespace and without.
func (r Resource) Keys(prefixes []string, namespace, name string) []string {
	var keys []string
	for _, prefix := range prefixes {
		if r.Scope != Cluster && namespace != "" {
			keys = append(keys, prefix+"/"+r.path+"/"+namespace+"/"+name)
		}
		if r.Scope != Namespaced {
			keys = append(keys, prefix+"/"+r.path+"/"+name)
		}
	}
	return keys
}

// Ranges returns the prefixes of the keys of all objects of a resource, in one namespace or, if that is empty, in all.
func (r Resource) Ranges(prefixes []string, namespace string) []string {
	var ranges []string
	for _, prefix := range prefixes {
		path := prefix + "/" + r.path + "/"
		if r.Scope != Cluster && namespace != "" {
			path += namespace + "/"
		}
		ranges = append(ranges, path)
	}
	return ranges
}
