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

// environmentFiles are those of distributions' packages. They count by themselves only where no unit says which file is read.
func environmentFiles() []string { return []string{"/etc/default/etcd", "/etc/etcd/etcd.conf"} }

// systemd finds each unit that starts an etcd.
func (t tree) systemd() ([]Member, error) {
	names, err := t.unitNames()
	if err != nil {
		return nil, err
	}
	var found []Member
	for _, name := range names {
		source, lines, err := t.unit(name)
		if err != nil {
			return nil, err
		}
		m, isEtcd, err := t.unitMember(source, lines)
		if err != nil {
			return nil, err
		}
		if isEtcd {
			found = append(found, m)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, path := range environmentFiles() {
		env := map[string]string{}
		if err := t.environmentFile(env, path); err != nil {
			return nil, err
		}
		if s := variables(env); len(s) > 0 {
			m, err := t.systemdMember(path, s, env)
			if err != nil {
				return nil, err
			}
			found = append(found, m)
		}
	}
	return found, nil
}

// unitNames are the services whose name begins with etcd.
func (t tree) unitNames() ([]string, error) {
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
			if strings.HasPrefix(name, "etcd") && strings.HasSuffix(name, ".service") && !strings.HasSuffix(name, "@.service") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// template is the unit file of an instance, and what %i is in it.
func template(name string) (file, instance string) {
	stem, instance, ok := strings.Cut(strings.TrimSuffix(name, ".service"), "@")
	if !ok {
		return name, ""
	}
	return stem + "@.service", instance
}

// setting is one line KEY=VALUE of a unit.
type setting struct{ key, value string }

// unit returns the file of a unit and its settings, with those of its drop-ins. A masked unit is empty, or a link to /dev/null.
func (t tree) unit(name string) (source string, lines []setting, err error) {
	var dropIns []string
	full := strings.TrimSuffix(name, ".service")
	name, instance := template(name)
	prefix, _, _ := strings.Cut(full, "@")
	specifiers := strings.NewReplacer("%i", instance, "%I", instance, "%p", prefix, "%P", prefix, "%n", full+".service", "%N", full)
	for _, dir := range unitDirs() {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(t.path(path)); err == nil && source == "" {
			source = path
		}
		entries, err := os.ReadDir(t.path(path + ".d"))
		if err != nil && !absent(err) {
			return "", nil, lookErrorf("%w: %s", err, readAs)
		}
		for _, e := range entries {
			masks := func(other string) bool { return filepath.Base(other) == e.Name() }
			if strings.HasSuffix(e.Name(), ".conf") && !slices.ContainsFunc(dropIns, masks) {
				dropIns = append(dropIns, filepath.Join(path+".d", e.Name()))
			}
		}
	}
	if link, err := os.Readlink(t.path(source)); err == nil && link == os.DevNull {
		return source, nil, nil
	}
	slices.SortFunc(dropIns, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	for _, path := range append([]string{source}, dropIns...) {
		text, err := t.read(path)
		if err != nil {
			return "", nil, err
		}
		lines = append(lines, unitLines(specifiers.Replace(string(text)))...)
	}
	return source, lines, nil
}

func unitLines(text string) []setting {
	var lines []setting
	text = regexp.MustCompile(`\\\r?\n`).ReplaceAllString(text, " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			lines = append(lines, setting{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return lines
}

// unitMember reads the settings of a unit's etcd. An empty assignment removes those before it, as systemd does.
func (t tree) unitMember(source string, lines []setting) (m Member, ok bool, err error) {
	var environment, files []string
	start, user, group := "", "", ""
	for _, l := range lines {
		switch {
		case l.key == "User":
			user = l.value
		case l.key == "Group":
			group = l.value
		case l.key == "ExecStart" && (start == "" || l.value == ""):
			start = l.value
		case l.key == "Environment" && l.value == "":
			environment = nil
		case l.key == "Environment":
			environment = append(environment, words(l.value)...)
		case l.key == "EnvironmentFile" && l.value == "":
			files = nil
		case l.key == "EnvironmentFile":
			files = append(files, strings.TrimPrefix(l.value, "-"))
		}
	}
	flags, ok := etcdFlags(words(strings.TrimLeft(start, "@-:+!|")))
	if !ok {
		return m, false, nil
	}
	env := map[string]string{}
	for _, assignment := range environment {
		name, value, _ := strings.Cut(assignment, "=")
		env[name] = value
	}
	read := ""
	for _, path := range files { // they take precedence over Environment=
		before := len(env)
		if err := t.environmentFile(env, path); err != nil {
			return m, true, err
		}
		if len(env) > before {
			read += ", " + t.path(path)
		}
	}
	s := variables(env)
	for i, word := range flags {
		flags[i] = os.Expand(word, func(name string) string { return env[name] })
	}
	s.flags(flags)
	m, err = t.systemdMember(source, s, env)
	m.Source += read
	if m.User = user; user != "" && group != "" {
		m.User += ":" + group
	}
	return m, true, err
}

// systemdMember also understands variables of etcdctl, which some installers write next to those of etcd.
func (t tree) systemdMember(source string, s settings, env map[string]string) (Member, error) {
	if path := s["config-file"]; path != "" {
		var err error
		if s, err = t.file(path); err != nil {
			return Member{}, err
		}
	}
	if ca := env["ETCDCTL_CACERT"]; ca != "" {
		s[clientCA] = ca
	}
	return t.member("systemd", source, s, [2]string{env["ETCDCTL_CERT"], env["ETCDCTL_KEY"]})
}

// environmentFile adds the variables of a file, if it exists. They are quoted as in a shell.
func (t tree) environmentFile(env map[string]string, path string) error {
	text, err := t.read(path)
	if err != nil {
		return err
	}
	for _, l := range unitLines(string(text)) {
		env[strings.TrimPrefix(l.key, "export ")] = strings.Join(words(l.value), " ")
	}
	return nil
}

// words splits a command line, as systemd and a shell do in the forms that are in use.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quote, open, escaped := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped, open = false, true
		case r == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (r == '"' || r == '\''):
			quote, open = r, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == ' ' || r == '\t'):
			if open {
				all = append(all, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		all = append(all, word.String())
	}
	return all
}

// unshell returns the words of a command that is started by a shell's -c.
func unshell(command []string) []string {
	for i, word := range command {
		if word == "-c" && i > 0 && i+1 < len(command) && strings.HasSuffix(command[i-1], "sh") {
			return words(command[i+1])
		}
	}
	return command
}

// etcdFlags returns the flags of a command that starts etcd, directly or by a shell.
func etcdFlags(command []string) (flags []string, ok bool) {
	assignment := regexp.MustCompile(`^\w+=`)
	for i, word := range unshell(command) {
		if word == "exec" || filepath.Base(word) == "env" || assignment.MatchString(word) {
			continue
		}
		return unshell(command)[i+1:], filepath.Base(word) == "etcd"
	}
	return nil, false
}
