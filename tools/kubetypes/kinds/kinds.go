// Package kinds lists the types of Kubernetes that an API server stores: those of one version of its modules, each with its metadata.
// It builds with every version for which this module has a .mod file.
package kinds

import (
	"fmt"
	"reflect"
	"sort"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1beta1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1beta1"
)

// Kind is one kind of one API version.
type Kind struct {
	APIVersion string
	Name       string
	Type       reflect.Type
}

// Scheme knows every type: those of client-go, and those of the two API servers that Kubernetes adds.
func Scheme() (*runtime.Scheme, error) {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme,
		apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme,
		apiregistrationv1.AddToScheme, apiregistrationv1beta1.AddToScheme,
	} {
		if err := add(all); err != nil {
			return nil, fmt.Errorf("add types to the scheme: %w", err)
		}
	}
	return all, nil
}

// All returns the kinds with metadata of the scheme, in order.
func All(scheme *runtime.Scheme) []Kind {
	var kinds []Kind
	for gvk, typ := range scheme.AllKnownTypes() {
		if meta, ok := typ.FieldByName("ObjectMeta"); !ok || meta.Type != reflect.TypeOf(metav1.ObjectMeta{}) {
			continue
		}
		kinds = append(kinds, Kind{APIVersion: gvk.GroupVersion().String(), Name: gvk.Kind, Type: typ})
	}
	sort.Slice(kinds, func(i, j int) bool {
		a, b := kinds[i], kinds[j]
		return a.APIVersion < b.APIVersion || a.APIVersion == b.APIVersion && a.Name < b.Name
	})
	return kinds
}
