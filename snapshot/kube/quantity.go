package kube

import (
	"fmt"
	"regexp"
)

var quantityForm = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$`)

// quantity returns a quantity as it is stored. That is its canonical form, for whatever a client wrote, an API server writes quantities by
// their String method; reading and writing such a text again does not change it.
func quantity(fields wireFields) (any, error) {
	if len(fields.byNumber[1]) == 0 {
		return "0", nil
	}
	text := fields.text(1)
	if !quantityForm.MatchString(text) {
		return nil, fmt.Errorf("%q is not a quantity", text)
	}
	return text, nil
}
