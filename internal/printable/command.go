package printable

import (
	"fmt"
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
	if Text(s) != s {
		return ansiWord(s)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ansiWord is in the quotes of bash, zsh, ksh and POSIX since 2024, which know escapes. Everything that is not plain text is escaped byte by
// byte, so that neither the shell's character set nor a terminal changes the word.
func ansiWord(s string) string {
	var out strings.Builder
	for i := range len(s) {
		switch b := s[i]; {
		case b == '\'' || b == '\\':
			out.WriteString(`\` + string(rune(b)))
		case b < ' ' || b >= 0x7f:
			fmt.Fprintf(&out, `\%03o`, b)
		default:
			out.WriteByte(b)
		}
	}
	return "$'" + out.String() + "'"
}
