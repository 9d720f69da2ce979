package detect

import (
	"path/filepath"
	"regexp"
)

// environmentFiles are those of distributions' packages. They count by themselves only where no unit says which file is read.
func environmentFiles() []string { return []string{"/etc/default/etcd", "/etc/etcd/etcd.conf"} }

// systemd finds each unit that starts an etcd.
func (t tree) systemd() ([]Member, error) {
	units, err := t.units()
	if err != nil {
		return nil, err
	}
	var found []Member
	for _, u := range units {
		source, lines, err := u.read(t)
		if err != nil {
			return nil, err
		}
		m, isEtcd, err := t.unitMember(source, serviceOf(lines))
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
		if _, err := t.environmentFile(env, path); err != nil {
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

// unitMember is the etcd that a service starts. ok is false for another program, whose files are not read.
func (t tree) unitMember(source string, s service) (m Member, ok bool, err error) {
	if _, ok = etcdFlags(words(s.start), nil); !ok {
		return m, false, nil
	}
	env, read, err := s.variables(t)
	if err != nil {
		return m, true, err
	}
	flags, _ := etcdFlags(commandLine(s.start, env), env)
	given := variables(env)
	given.flags(flags)
	m, err = t.systemdMember(source, given, env)
	for _, path := range read {
		m.Source += ", " + t.path(path)
	}
	m.User = s.user
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

// etcdFlags returns the flags of a command that starts etcd, directly or by a shell with these variables.
func etcdFlags(command []string, env map[string]string) (flags []string, ok bool) {
	assignment := regexp.MustCompile(`^\w+=`)
	command = unshell(command, env)
	for i, word := range command {
		if word == "exec" || filepath.Base(word) == "env" || assignment.MatchString(word) {
			continue
		}
		return command[i+1:], filepath.Base(word) == "etcd"
	}
	return nil, false
}
