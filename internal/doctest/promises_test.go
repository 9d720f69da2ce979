package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesNameTestsThatExist: each promise of docs/DESIGN.md names tests that hold it, and each of them exists.
func TestPromisesNameTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Promises\n")
	if !ok {
		t.Fatal("docs/DESIGN.md has no section Promises")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	existing := testsBelow(t, root)
	promises := regexp.MustCompile(`(?m)^\d+\. `).Split(section, -1)[1:]
	if len(promises) < 10 {
		t.Fatalf("%d promises were found", len(promises))
	}
	for i, promise := range promises {
		names := regexp.MustCompile("`([a-z0-9/]+) (Test\\w+|Fuzz\\w+)`").FindAllStringSubmatch(promise, -1)
		if len(names) == 0 {
			t.Errorf("promise %d names no test", i+1)
		}
		for _, n := range names {
			if dir, name := n[1], n[2]; !existing[dir+" "+name] {
				t.Errorf("promise %d: there is no %s in %s", i+1, name, dir)
			}
		}
	}
}

// testsBelow are all tests with their directories: "snapshot TestTake".
func testsBelow(t *testing.T, root string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, f := range function.FindAllStringSubmatch(string(source), -1) {
			out[filepath.ToSlash(dir)+" "+f[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
