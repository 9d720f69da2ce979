package command

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
)

// shownKey is a key as it is printed and as readKey takes it: as it is, or in the quotes of Go if a terminal could not show it, or if it is
// not UTF-8.
func shownKey(key []byte) string {
	s := string(key)
	if s == "" || strings.HasPrefix(s, `"`) || !utf8.Valid(key) || printable.Text(s) != s {
		return strconv.Quote(s)
	}
	return s
}

// readKey reads a key or a prefix that somebody wrote.
func readKey(word string) ([]byte, error) {
	if !strings.HasPrefix(word, `"`) {
		return []byte(word), nil
	}
	key, err := strconv.Unquote(word)
	if err != nil {
		return nil, config.Usagef(`%s: a key that begins with " must be quoted as ls shows it, such as "\xff/a"`, word)
	}
	return []byte(key), nil
}
