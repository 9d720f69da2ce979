// Package describe is what dump writes and merge reads: the types of one version of Kubernetes.
package describe

import (
	"encoding/json"
	"reflect"
)

// Version is all types of one version.
type Version struct {
	Kinds   []Kind
	Structs map[string][]Field
}

// Kind is a kind of an API version, and the name of its struct.
type Kind struct{ APIVersion, Kind, Struct string }

// Field is one field of a struct.
type Field struct {
	Number                      int
	JSON                        string
	Type                        string
	Inline, OmitEmpty, OmitZero bool
}

// Special returns the letter of a type whose JSON is not that of its Go type, or nothing.
func Special(t reflect.Type) string {
	return map[string]string{
		"k8s.io/apimachinery/pkg/apis/meta/v1.Time":       "T",
		"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":  "U",
		"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":   "D",
		"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":   "F",
		"k8s.io/apimachinery/pkg/api/resource.Quantity":   "Q",
		"k8s.io/apimachinery/pkg/util/intstr.IntOrString": "I",
		"k8s.io/apimachinery/pkg/runtime.RawExtension":    "R",

		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON":                              "J",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool":             "O",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray":            "A",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray":      "N",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1.JSON":                         "J",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1.JSONSchemaPropsOrBool":        "O",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1.JSONSchemaPropsOrArray":       "A",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1.JSONSchemaPropsOrStringArray": "N",
	}[t.PkgPath()+"."+t.Name()]
}

// HasOwnJSON reports whether a type writes its JSON itself.
func HasOwnJSON(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]())
}
