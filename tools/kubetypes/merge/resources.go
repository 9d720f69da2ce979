package main

import (
	"fmt"
	"slices"
	"strings"
)

// removed are resources that newer versions of Kubernetes no longer have and that the snapshot of an old cluster may hold.
func removed() []resource {
	return []resource{
		{Group: "policy", Plural: "podsecuritypolicies", Singular: "podsecuritypolicy", Kind: "PodSecurityPolicy", Scope: "Cluster", Short: []string{"psp"}},
		{Group: "networking.k8s.io", Plural: "clustercidrs", Singular: "clustercidr", Kind: "ClusterCIDR", Scope: "Cluster", Short: []string{"cc"}},
		{Group: "resource.k8s.io", Plural: "resourceclasses", Singular: "resourceclass", Kind: "ResourceClass", Scope: "Cluster"},
		{
			Group: "resource.k8s.io", Plural: "podschedulingcontexts", Singular: "podschedulingcontext", Kind: "PodSchedulingContext",
			Scope: "Namespaced",
		},
	}
}

type resource struct {
	Group, Plural, Singular, Kind, Scope string
	Short                                []string
}

// aggregated is what an API server answers at /apis: all groups with their resources.
type aggregated struct {
	Items []struct {
		Metadata struct{ Name string }
		Versions []struct {
			Resources []struct {
				Resource, Scope, SingularResource string
				ResponseKind                      struct{ Kind string }
				ShortNames, Verbs                 []string
			}
		}
	}
}

// core is what an API server answers at /api/v1: the resources of the group without a name.
type core struct {
	Resources []struct {
		Name, SingularName, Kind string
		Namespaced               bool
		ShortNames, Verbs        []string
	}
}

// mergeResources reads the core group's file first, then that of the other groups, and writes a line for each stored resource.
func mergeResources(files []string) ([]string, error) {
	if len(files) != 2 {
		return nil, fmt.Errorf("resources: needs api__v1.json and aggregated_v2.json")
	}
	var first core
	var rest aggregated
	if err := readJSON(files[0], &first); err != nil {
		return nil, err
	}
	if err := readJSON(files[1], &rest); err != nil {
		return nil, err
	}
	var all []resource
	for _, r := range first.Resources {
		scope := "Cluster"
		if r.Namespaced {
			scope = "Namespaced"
		}
		if slices.Contains(r.Verbs, "create") && slices.Contains(r.Verbs, "get") && !strings.Contains(r.Name, "/") {
			all = append(all, resource{Plural: r.Name, Singular: r.SingularName, Kind: r.Kind, Scope: scope, Short: r.ShortNames})
		}
	}
	for _, group := range rest.Items {
		for _, version := range group.Versions {
			for _, r := range version.Resources {
				if slices.Contains(r.Verbs, "create") && slices.Contains(r.Verbs, "get") {
					all = append(all, resource{group.Metadata.Name, r.Resource, r.SingularResource, r.ResponseKind.Kind, r.Scope, r.ShortNames})
				}
			}
		}
	}
	var lines []string
	for _, r := range append(all, removed()...) {
		if r.Group == "" {
			r.Group = "-"
		}
		line := fmt.Sprintln("resource", r.Group, r.Plural, r.Singular, r.Kind, r.Scope, strings.Join(r.Short, ","))
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}
