// Package printable makes texts from elsewhere safe to show on a terminal: names of members and files, versions, alarms and errors come
// from etcd, S3, archives and peers, which may be hostile.
//
// Invariant: what it returns or passes on moves no cursor, changes no color or title, and reverses no text.
package printable

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text escapes everything that is not a visible character or a space, line breaks too.
func Text(s string) string { return escape(s, "") }

// Writer escapes likewise what is written to it, except line breaks and tabs, which the program's own texts contain. Each Write is a
// text of its own: a character that is split between two of them is escaped.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, escape(string(p), "\n\t")); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escape(s, allowed string) string {
	clean := func(r rune, size int) bool {
		return (r != utf8.RuneError || size > 1) && (unicode.IsPrint(r) || strings.ContainsRune(allowed, r))
	}
	var out strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case clean(r, size):
			out.WriteString(s[:size])
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[0])
		case r < utf8.RuneSelf:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		s = s[size:]
	}
	return out.String()
}

// Address quotes an address for the error that it is wrong. One with a user, a path, a query or anything unusual may contain a secret, and
// is not shown.
func Address(s string) string {
	if regexp.MustCompile(`^([A-Za-z0-9]+://)?[A-Za-z0-9 ._:\[\]-]*/?$`).MatchString(s) {
		return strconv.Quote(s)
	}
	return "the value (not shown: it may contain a secret)"
}

// JSON escapes likewise in a JSON text, whose meaning stays: JSON itself allows these characters in its strings, where they are escaped
// already if they are of ASCII. The text is one that encoding/json has written.
func JSON(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
