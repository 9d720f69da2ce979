package config

import (
	"fmt"
	"strings"

	"github.com/xrash/smetrics"
)

// similar is the least similarity of a word that is worth a question, from 0 (nothing in common) to 1 (the same word).
const similar = 0.85

// DidYouMean asks for the known word that is most like the given one; it is empty if none is.
func DidYouMean(given string, known []string) string {
	best, most := "", similar
	for _, word := range known {
		if s := smetrics.JaroWinkler(given, word, 0.7, 4); s > most {
			best, most = word, s
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s? ", best)
}

// keyForm is a word in the form of a key: some write it as in the environment or on the command line.
func keyForm(word string) string {
	word = strings.TrimPrefix(strings.TrimLeft(word, "-"), ownVariable)
	return strings.ToLower(strings.ReplaceAll(word, "_", "-"))
}
