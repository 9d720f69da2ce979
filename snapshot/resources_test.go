package snapshot

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestResourceOfAKey(t *testing.T) {
	for key, want := range map[string]string{
		"/registry/pods/default/a":                                   "/registry/pods",
		"/registry/minions/node-a":                                   "/registry/minions",
		"/registry/services/specs/default/kubernetes":                "/registry/services/specs",
		"/registry/services/endpoints/default/kubernetes":            "/registry/services/endpoints",
		"/registry/example.com/widgets/default/w":                    "/registry/example.com/widgets",
		"/registry/apiextensions.k8s.io/customresourcedefinitions/x": "/registry/apiextensions.k8s.io/customresourcedefinitions",
		"/registry/configmaps/a.b/c":                                 "/registry/configmaps",
		"/kubernetes.io/secrets/default/s":                           "/kubernetes.io/secrets",
		"/kubernetes.io/cert-manager.io/issuers/default/i":           "/kubernetes.io/cert-manager.io/issuers",
		"/openshift.io/routes/default/r":                             "/openshift.io/routes",
		"/registry/health":                                           "",
		"/registry/example.com/widgets":                              "",
		"/registry//a":                                               "",
		"/registry/":                                                 "",
		"compact_rev_key":                                            "",
		"/other/pods/default/a":                                      "",
		"/registry/" + strings.Repeat("a", 400) + "/b":               "",
	} {
		if got := string(resourceOf([]byte(key))); got != want {
			t.Errorf("%s is of %q, want %q", key, got, want)
		}
	}
}

func TestKeysAreCountedByResource(t *testing.T) {
	put, gone := make([]byte, revisionLen), append(make([]byte, revisionLen), tombstone)
	s := newKeySet()
	for _, x := range []struct {
		revision []byte
		key      string
	}{
		{put, "/registry/pods/a/a"},
		{put, "/registry/pods/a/b"},
		{put, "/registry/pods/a/a"},
		{gone, "/registry/pods/a/a"},
		{gone, "/registry/pods/a/a"},
		{put, "/registry/secrets/a/a"},
		{gone, "/registry/secrets/a/a"},
		{put, "/registry/configmaps/a/a"},
		{gone, "/registry/jobs/compacted/put"},
		{put, "other"},
	} {
		s.see(x.revision, []byte(x.key))
	}
	if got, want := s.resources.existing(), map[string]int64{"/registry/pods": 1, "/registry/configmaps": 1}; !maps.Equal(got, want) || len(s.hashes) != 3 {
		t.Errorf("%v, and %d keys in all; want %v", got, len(s.hashes), want)
	}
	for i := range 2 * maxResources {
		s.see(put, fmt.Appendf(nil, "/registry/type%d/a", i))
	}
	if got := s.resources.existing(); got != nil || len(s.resources) > maxResources+1 {
		t.Errorf("of too many types %d are counted", len(s.resources))
	}
}
