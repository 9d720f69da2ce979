package command

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"etcd-rolling-backup/internal/config"
)

func TestFlagsFirst(t *testing.T) {
	app := silentApp()
	for _, test := range []struct{ words, want string }{
		{"", ""},
		{"verify", "verify"},
		{"verify latest", "verify latest"},
		{"verify latest --dir d", "verify --dir d latest"},
		{"verify --dir d latest", "verify --dir d latest"},
		{"verify latest --dir=d", "verify --dir=d latest"},
		{"verify latest -dir d", "verify -dir d latest"},
		{"delete a --dir d b --config f c", "delete --dir d --config f a b c"},
		{"list --all x --output json", "list --all --output json x"}, // --all takes no value
		{"list x --all=true y", "list --all=true x y"},
		{"prune --keep-last -1 x", "prune --keep-last -1 x"},   // a value may look like a flag
		{"save x --label --dir d", "save --label --dir x d"},   // and so does the library read it
		{"save --label -h --dir d", "save --label -h --dir d"}, // the value -h asks for no help
		{"verify a -- --dir d", "verify a -- --dir d"},         // behind -- all are arguments
		{"verify --dir d -- a --x", "verify --dir d -- a --x"}, //
		{"verify - --dir d", "verify --dir d -"},               // - alone is an argument
		{"verify a --bogus b", "verify --bogus a b"},           // what the library will refuse
		{"verify a --dir", "verify --dir a"},                   //
		{"verify a --dir d --help", "verify --help"},           // help goes before all
		{"save -h x", "save --help"},                           //
		{"verify -- --help", "verify -- --help"},               //
		{"--help save", "help save"},                           //
		{"-h bogus", "help bogus"},                             //
		{"--help", "--help"},                                   //
		{"bogus a --dir d", "bogus a --dir d"},                 // unknown: left to the library
		{"--dir d list", "--dir d list"},                       //
		{"config show x --output json", "config show --output json x"},
		{"config show --all x", "config show --all x"},
		{"config show x -h", "config show --help"},
		{"config x --dir d", "config x --dir d"}, // unknown: left to the library
		{"config --help", "config --help"},
		{"check --endpoints a --endpoints b", "check --endpoints a --endpoints b"},
	} {
		args := append([]string{program}, strings.Fields(test.words)...)
		want := append([]string{program}, strings.Fields(test.want)...)
		given := slices.Clone(args)
		if got := config.FlagsFirst(app, args); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", test.words, got[1:], test.want)
		}
		if !slices.Equal(args, given) {
			t.Errorf("%s: the caller's words were changed", test.words)
		}
	}
}

// Unless help is asked for, no word is lost or added, and a second pass changes nothing.
func TestFlagsFirstOnlyMoves(t *testing.T) {
	app := silentApp()
	words := rapid.SampledFrom([]string{"--dir", "--dir=d", "--all", "--output", "json", "a", "b", "-", "--", "--bogus", "-x", ""})
	rapid.Check(t, func(t *rapid.T) {
		args := append([]string{program, "list"}, rapid.SliceOfN(words, 0, 12).Draw(t, "words")...)
		got := config.FlagsFirst(app, args)
		if a, b := slices.Sorted(slices.Values(args)), slices.Sorted(slices.Values(got)); !slices.Equal(a, b) {
			t.Fatalf("%q became %q", args, got)
		}
		if again := config.FlagsFirst(app, got); !slices.Equal(again, got) {
			t.Fatalf("%q became %q, and that %q", args, got, again)
		}
	})
}
