package kube

import (
	"errors"
	"fmt"
	"regexp"
)

func canonicalQuantity(fields wireFields) (any, error) {
	if len(fields.byNumber[1]) == 0 {
		return "0", nil
	}
	text := fields.text(1)
	if ok, _ := regexp.MatchString(`^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$`, text); !ok {
		return nil, fmt.Errorf("not a quantity: %w", errors.New(text))
	}
	return text, nil
}
