package config

import "testing"

func TestErrorsOfTheLibraryAreTranslated(t *testing.T) {
	for text, want := range map[string]string{
		"flag provided but not defined: -x-y":                     "unknown flag --x-y",
		"flag needs an argument: -dir":                            "--dir needs a value",
		`invalid value "1.5" for flag -keep-last: parse error`:    `--keep-last: "1.5" is not a whole number`,
		`invalid boolean value "maybe" for -dry-run: parse error`: `--dry-run: "maybe" is not true or false`,
		"something that is not in the table":                      "something that is not in the table",
	} {
		if got := translate(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
