package command

import (
	"regexp"
	"slices"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/kube"
)

// labels is a selector: all of it must fit.
type labels []label

// label is one condition. As in kubectl, an object without the label fits those that say what must not be.
type label struct {
	name   string
	values []string
	any    bool // every value fits
	equal  bool // the label must be so; otherwise it must not
}

// readLabels reads a selector as kubectl does: app=web, app!=web, app in (web,api), app notin (web), app, !app, with commas between.
func readLabels(text string) (all labels, err error) {
	for _, word := range conditions(text) {
		l, ok := readLabel(strings.TrimSpace(word))
		if !ok {
			return nil, config.Usagef("--selector: %q: use app=web, app!=web, app in (web,api), app notin (web), app or !app, with commas between", word)
		}
		all = append(all, l)
	}
	return all, nil
}

// conditions splits at the commas that are not in parentheses.
func conditions(text string) (words []string) {
	if text == "" {
		return nil
	}
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			words, start = append(words, text[start:i]), i+1
		}
	}
	return append(words, text[start:])
}

var (
	setCondition   = regexp.MustCompile(`^([\w./-]+)\s+(in|notin)\s*\(([\w.\s,-]*)\)$`)
	equalCondition = regexp.MustCompile(`^([\w./-]+)\s*(=|==|!=)\s*([\w.-]*)$`)
	isCondition    = regexp.MustCompile(`^(!?)\s*([\w./-]+)$`)
)

func readLabel(word string) (label, bool) {
	if m := setCondition.FindStringSubmatch(word); m != nil {
		values := strings.Split(m[3], ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		return label{name: m[1], values: values, equal: m[2] == "in"}, true
	}
	if m := equalCondition.FindStringSubmatch(word); m != nil {
		return label{name: m[1], values: []string{m[3]}, equal: m[2] != "!="}, true
	}
	if m := isCondition.FindStringSubmatch(word); m != nil {
		return label{name: m[2], any: true, equal: m[1] == ""}, true
	}
	return label{}, false
}

func (s labels) match(fields map[string]any) bool {
	has, _ := kube.Field(fields, fieldMetadata, "labels").(map[string]any)
	for _, l := range s {
		value, found := has[l.name].(string)
		if (found && (l.any || slices.Contains(l.values, value))) != l.equal {
			return false
		}
	}
	return true
}
