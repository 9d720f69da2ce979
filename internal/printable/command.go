package printable

import (
	"regexp"
	"strings"
)

// Command is a command line that can be pasted into a shell: each word is quoted where it needs that.
func Command(words ...string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, shellWord(w))
	}
	return strings.Join(quoted, " ")
}

// shellWord quotes what a shell would split or expand.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
