package snapshot

import (
	"bytes"
	"maps"
)

const (
	// maxResources is how many types of Kubernetes are counted. A database with more has no counts, because those of some types would look
	// as if the others had no objects.
	maxResources = 2000
	// maxResourceName is longer than group and type of any custom resource.
	maxResourceName = 340
)

// resourceCounts has the number of keys of each type.
type resourceCounts map[string]int64

// add counts one more or one less. One more type than the limit is remembered, as the sign that there are too many.
func (c resourceCounts) add(key []byte, n int64) {
	name := resourceOf(key)
	if name == nil {
		return
	}
	if _, known := c[string(name)]; known || len(c) <= maxResources {
		c[string(name)] += n
	}
}

// existing returns the types that have keys; nil: there are too many.
func (c resourceCounts) existing() map[string]int64 {
	if len(c) > maxResources {
		return nil
	}
	out := maps.Clone(map[string]int64(c))
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n <= 0 })
	return out
}

// resourceOf returns the beginning of a key that all objects of its type have, without the last slash; nil: it is no key of a Kubernetes
// object. These are /registry/TYPE/..., for a type in a group such as a custom resource /registry/GROUP/TYPE/..., and in OpenShift the same
// below /kubernetes.io and /openshift.io. The name of a group has a dot, and no type has one. Services and their endpoints share a beginning.
func resourceOf(key []byte) []byte {
	end := 0
	for _, root := range []string{"/registry/", "/kubernetes.io/", "/openshift.io/"} {
		if bytes.HasPrefix(key, []byte(root)) {
			end = len(root)
		}
	}
	if end == 0 {
		return nil
	}
	first := bytes.IndexByte(key[end:], '/')
	if first <= 0 {
		return nil
	}
	name := key[end : end+first]
	end += first
	if bytes.IndexByte(name, '.') >= 0 || string(name) == "services" {
		second := bytes.IndexByte(key[end+1:], '/')
		if second <= 0 {
			return nil
		}
		end += 1 + second
	}
	if end > maxResourceName {
		return nil
	}
	return key[:end]
}
