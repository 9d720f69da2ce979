package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is one fenced block with the mark before it.
type block struct {
	line                 int
	language, mark, text string
}

func (b block) shell() bool {
	return slices.Contains([]string{"sh", "bash", "console", "shell"}, b.language)
}

// blocks reads the text of a Markdown file.
func blocks(text string) ([]block, error) {
	var out []block
	before, inside := "", false
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case inside && fence:
			inside = false
		case inside:
			out[len(out)-1].text += line + "\n"
		case fence && language == "":
			return nil, fmt.Errorf("line %d: give the fence a language, ```text if it has none", i+1)
		case fence:
			inside = true
			mark := strings.TrimSuffix(strings.TrimPrefix(before, "<!-- "), " -->")
			if mark == before {
				mark = ""
			}
			out = append(out, block{line: i + 1, language: language, mark: mark})
		}
		before = line
	}
	if inside {
		return nil, fmt.Errorf("line %d: the fence is not closed", out[len(out)-1].line)
	}
	return out, nil
}

// documents are all Markdown files of the repository.
func documents(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return slices.DeleteFunc(out, func(p string) bool { return strings.Contains(p, "/testdata/") })
}

func readBlocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := blocks(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBlocks(t *testing.T) {
	got, err := blocks("a\n<!-- tested -->\n```sh\nls\nls\n```\n\n```text\n<!-- x -->\n```\n  ```yaml\n  a: 1\n  ```\n")
	want := []block{{3, "sh", "tested", "ls\nls\n"}, {8, "text", "", "<!-- x -->\n"}, {11, "yaml", "", "  a: 1\n"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"a\n```\nls\n```\n":          "line 2: give the fence a language",
		"```sh\nls\n```\n  ```\nb\n": "line 4: give the fence a language",
		"a\n```sh\nls\n":             "line 2: the fence is not closed",
	} {
		if _, err := blocks(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
