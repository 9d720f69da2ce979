package kube

import (
	"encoding/json"
	"strings"
)

// The type that defines custom resources.
const (
	crdGroup = "apiextensions.k8s.io"
	crdKind  = "CustomResourceDefinition"
)

// convertCRD makes a definition of v1beta1, in which API servers store them to this day, one of v1, the only version that they serve. It
// sets the defaults of v1beta1 and converts as an API server does when it reads. The fields are changed in place.
func convertCRD(fields map[string]any) {
	fields["apiVersion"] = crdGroup + "/v1"
	spec := object(fields, "spec")
	names := object(spec, "names")
	kind, _ := names["kind"].(string)
	setDefault(names, "singular", strings.ToLower(kind))
	if kind != "" {
		setDefault(names, "listKind", kind+"List")
	}
	setDefault(spec, "scope", string(Namespaced))
	convertCRDVersions(spec)
	convertCRDConversion(spec)
	if preserve, set := spec["preserveUnknownFields"].(bool); !set {
		spec["preserveUnknownFields"] = true
	} else if !preserve {
		delete(spec, "preserveUnknownFields")
	}
	status := object(fields, "status")
	if stored, _ := status["storedVersions"].([]any); len(stored) == 0 {
		for _, version := range objects(spec["versions"]) {
			if version["storage"] == true {
				status["storedVersions"] = []any{version["name"]}
				break
			}
		}
	}
}

// convertCRDVersions moves what v1beta1 may say once for all versions to each version.
func convertCRDVersions(spec map[string]any) {
	versions, _ := spec["versions"].([]any)
	if name, _ := spec["version"].(string); len(versions) == 0 && name != "" {
		spec["versions"] = []any{map[string]any{"name": name, "served": true, "storage": true}}
	} else if len(versions) == 0 {
		spec["versions"] = nil
	}
	delete(spec, "version")
	for _, move := range [][2]string{
		{"subresources", "subresources"},
		{"validation", "schema"},
		{"additionalPrinterColumns", "additionalPrinterColumns"},
		{"selectableFields", "selectableFields"},
	} {
		if value := spec[move[0]]; value != nil {
			for _, version := range objects(spec["versions"]) {
				version[move[1]] = cloneValue(value)
			}
		}
		delete(spec, move[0])
	}
	for _, version := range objects(spec["versions"]) {
		for _, column := range objects(version["additionalPrinterColumns"]) {
			if path, ok := column["JSONPath"]; ok {
				column["jsonPath"] = path
				delete(column, "JSONPath")
			}
		}
	}
}

// convertCRDConversion moves what v1beta1 has of a webhook to a place of its own.
func convertCRDConversion(spec map[string]any) {
	conversion, ok := spec["conversion"].(map[string]any)
	if !ok {
		spec["conversion"] = map[string]any{"strategy": "None"}
		return
	}
	reviews, _ := conversion["conversionReviewVersions"].([]any)
	if conversion["strategy"] == "Webhook" && len(reviews) == 0 {
		reviews = []any{"v1beta1"}
	}
	client, _ := conversion["webhookClientConfig"].(map[string]any)
	delete(conversion, "conversionReviewVersions")
	delete(conversion, "webhookClientConfig")
	if client == nil && len(reviews) == 0 {
		return
	}
	webhook := map[string]any{"conversionReviewVersions": nil}
	if len(reviews) > 0 {
		webhook["conversionReviewVersions"] = reviews
	}
	if client != nil {
		if service, ok := client["service"].(map[string]any); ok && service["port"] == nil {
			service["port"] = json.Number("443")
		}
		webhook["clientConfig"] = client
	}
	conversion["webhook"] = webhook
}

// object returns the object at a name, and makes an empty one if there is none.
func object(fields map[string]any, name string) map[string]any {
	value, ok := fields[name].(map[string]any)
	if !ok {
		value = map[string]any{}
		fields[name] = value
	}
	return value
}

// objects returns the objects in a list.
func objects(list any) []map[string]any {
	values, _ := list.([]any)
	var found []map[string]any
	for _, value := range values {
		if value, ok := value.(map[string]any); ok {
			found = append(found, value)
		}
	}
	return found
}

func setDefault(fields map[string]any, name, value string) {
	if text, _ := fields[name].(string); text == "" && value != "" {
		fields[name] = value
	}
}

// Clone copies an object's fields.
func Clone(fields map[string]any) map[string]any {
	copied := make(map[string]any, len(fields))
	for name, field := range fields {
		copied[name] = cloneValue(field)
	}
	return copied
}

func cloneValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return Clone(value)
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = cloneValue(element)
		}
		return list
	}
	return value
}
