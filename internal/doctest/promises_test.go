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
		names := namedTests(promise)
		if len(names) == 0 {
			t.Errorf("promise %d names no test", i+1)
		}
		for _, name := range names {
			if !existing[name] {
				t.Errorf("promise %d: there is no %s", i+1, name)
			}
		}
	}
}

// The security model names a test for what it says about each attacker, and each of them exists.
func TestSecurityModelNamesTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "SECURITY-MODEL.md"))
	if err != nil {
		t.Fatal(err)
	}
	existing := testsBelow(t, root)
	_, attackers, ok := strings.Cut(string(text), "\n## Attackers\n")
	if !ok {
		t.Fatal("docs/SECURITY-MODEL.md has no section Attackers")
	}
	for _, attacker := range strings.Split(attackers, "\n### ")[1:] {
		title, _, _ := strings.Cut(attacker, "\n")
		names := namedTests(attacker)
		if len(names) == 0 {
			t.Errorf("%s: names no test", title)
		}
		for _, name := range names {
			if !existing[name] {
				t.Errorf("%s: there is no %s", title, name)
			}
		}
	}
}

// namedTests are the tests that a text names: "snapshot TestTake".
func namedTests(text string) (names []string) {
	for _, n := range regexp.MustCompile("`([a-z0-9/]+) (Test\\w+|Fuzz\\w+)`").FindAllStringSubmatch(text, -1) {
		names = append(names, n[1]+" "+n[2])
	}
	return names
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
