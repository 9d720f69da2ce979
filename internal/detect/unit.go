package detect

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// unitDirs in the order of their precedence.
func unitDirs() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// unit is a service with all names that systemd knows it by. Its own comes first.
type unit struct{ names []string }

// units are the services of which one name begins with etcd.
func (t tree) units() ([]unit, error) {
	var names []string
	for _, dir := range unitDirs() {
		entries, err := os.ReadDir(t.path(dir))
		if err != nil && !absent(err) {
			return nil, lookErrorf("%w: %s", err, readAs)
		}
		wanted, err := filepath.Glob(t.path(dir, "*.wants", "etcd*@?*.service")) // instances of a template have no file of their own
		if err != nil {
			return nil, lookErrorf("%w", err)
		}
		for _, e := range entries {
			wanted = append(wanted, e.Name())
		}
		for _, path := range wanted {
			name := filepath.Base(path)
			if strings.HasPrefix(name, "etcd") && strings.HasSuffix(name, ".service") && !isTemplate(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var all []unit
	for _, name := range names {
		u := t.known(name)
		if i := slices.IndexFunc(all, func(other unit) bool { return other.names[0] == u.names[0] }); i >= 0 {
			all[i].names = append(all[i].names, u.names[1:]...)
		} else {
			all = append(all, u)
		}
	}
	return all, nil
}

// known is the unit of a name, which may be an alias: a link to another unit, such as Debian's etcd2.service. For systemd both are one.
func (t tree) known(name string) unit {
	names := []string{name}
	for {
		to := t.linkedUnit(names[0])
		if to == "" || isTemplate(to) || slices.Contains(names, to) {
			return unit{names}
		}
		names = slices.Insert(names, 0, to)
	}
}

// linkedUnit is the name of the unit that the first file of this name is a link to; "": it is no such link.
func (t tree) linkedUnit(name string) string {
	for _, dir := range unitDirs() {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(t.path(path)); err != nil {
			continue
		}
		to, err := os.Readlink(t.path(path))
		if err != nil {
			return ""
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		if !slices.Contains(unitDirs(), filepath.Dir(to)) { // a unit whose file is elsewhere, or a masked one
			return ""
		}
		return filepath.Base(to)
	}
	return ""
}

func isTemplate(name string) bool { return strings.HasSuffix(name, "@.service") }

// setting is one line KEY=VALUE of a unit.
type setting struct{ key, value string }

// read returns the file of a unit and its settings, with those of its drop-ins. A masked unit is empty, or a link to /dev/null.
func (u unit) read(t tree) (source string, lines []setting, err error) {
	names := u.names
	full := strings.TrimSuffix(names[0], ".service")
	prefix, instance, isInstance := strings.Cut(full, "@")
	if isInstance {
		names = append(slices.Clone(names), prefix+"@.service")
	}
	dropIns, err := t.dropIns(append(slices.Clone(names), "service")) // the last has those for all services
	if err != nil {
		return "", nil, err
	}
	if source = t.unitFile(names[0]); source == "" && isInstance {
		source = t.unitFile(names[len(names)-1])
	}
	if source == "" || t.masked(source) {
		return source, nil, nil
	}
	specifiers := strings.NewReplacer("%i", instance, "%I", instance, "%p", prefix, "%P", prefix, "%n", full+".service", "%N", full)
	for _, path := range append([]string{source}, dropIns...) {
		if t.masked(path) {
			continue
		}
		text, err := t.read(path)
		if err != nil {
			return "", nil, err
		}
		lines = append(lines, unitLines(specifiers.Replace(string(text)))...)
	}
	return source, lines, nil
}

// unitFile is the first file of this name; "": there is none.
func (t tree) unitFile(name string) string {
	for _, dir := range unitDirs() {
		if path := filepath.Join(dir, name); t.isThere(path) {
			return path
		}
	}
	return ""
}

// isThere reports a file or a link, wherever it leads.
func (t tree) isThere(path string) bool {
	_, err := os.Lstat(t.path(path))
	return err == nil
}

func (t tree) masked(path string) bool {
	link, err := os.Readlink(t.path(path))
	return err == nil && link == os.DevNull
}

// dropIns are the files that add to the units of these names, in the order of their own names. One hides those of the same name in later
// directories.
func (t tree) dropIns(names []string) ([]string, error) {
	var all []string
	for _, dir := range unitDirs() {
		for _, name := range names {
			path := filepath.Join(dir, name+".d")
			entries, err := os.ReadDir(t.path(path))
			if err != nil && !absent(err) {
				return nil, lookErrorf("%w: %s", err, readAs)
			}
			for _, e := range entries {
				hides := func(other string) bool { return filepath.Base(other) == e.Name() }
				if strings.HasSuffix(e.Name(), ".conf") && !slices.ContainsFunc(all, hides) {
					all = append(all, filepath.Join(path, e.Name()))
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return all, nil
}

var (
	comment      = regexp.MustCompile(`(?m)^[ \t]*[#;].*\n?`)
	continuation = regexp.MustCompile(`\\\r?\n`)
)

// unitLines are the assignments of a unit or an environment file. A comment may be between the lines of one assignment.
func unitLines(text string) []setting {
	var lines []setting
	text = continuation.ReplaceAllString(comment.ReplaceAllString(text, ""), " ")
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			lines = append(lines, setting{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return lines
}

// service is how a unit starts its program.
type service struct {
	start              string
	environment, files []string
	user               string
}

// serviceOf reads the settings of a unit. An empty assignment removes those before it, as systemd does.
func serviceOf(lines []setting) (s service) {
	user, group := "", ""
	for _, l := range lines {
		switch {
		case l.key == "User":
			user = l.value
		case l.key == "Group":
			group = l.value
		case l.key == "ExecStart" && (s.start == "" || l.value == ""):
			s.start = strings.TrimLeft(l.value, "@-:+!|")
		case l.key == "Environment" && l.value == "":
			s.environment = nil
		case l.key == "Environment":
			s.environment = append(s.environment, words(l.value)...)
		case l.key == "EnvironmentFile" && l.value == "":
			s.files = nil
		case l.key == "EnvironmentFile":
			s.files = append(s.files, strings.TrimPrefix(l.value, "-"))
		}
	}
	if s.user = user; user != "" && group != "" {
		s.user += ":" + group
	}
	return s
}

// variables are those of the service, and the files that they are from. Files take precedence.
func (s service) variables(t tree) (env map[string]string, read []string, err error) {
	env = map[string]string{}
	for _, assignment := range s.environment {
		name, value, _ := strings.Cut(assignment, "=")
		env[name] = value
	}
	for _, path := range s.files {
		any, err := t.environmentFile(env, path)
		if err != nil {
			return nil, nil, err
		}
		if any {
			read = append(read, path)
		}
	}
	return env, read, nil
}

// environmentFile adds the variables of a file, if it exists. They are quoted as in a shell.
func (t tree) environmentFile(env map[string]string, path string) (found bool, err error) {
	text, err := t.read(path)
	if err != nil {
		return false, err
	}
	lines := unitLines(string(text))
	for _, l := range lines {
		env[strings.TrimPrefix(l.key, "export ")] = strings.Join(words(l.value), " ")
	}
	return len(lines) > 0, nil
}
