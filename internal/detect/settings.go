package detect

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// settings are those of one etcd, by the names of its flags.
type settings map[string]string

// clientCA is no flag of etcd: the CA that its clients are told to use.
const clientCA = "client-ca"

// variables returns the settings in ETCD_ variables.
func variables(env map[string]string) settings {
	s := settings{}
	for name, value := range env {
		if flag, ok := strings.CutPrefix(name, "ETCD_"); ok && value != "" {
			s[strings.ToLower(strings.ReplaceAll(flag, "_", "-"))] = value
		}
	}
	return s
}

// flags adds those of a command line. They take precedence over variables.
func (s settings) flags(words []string) {
	for i := 0; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i], "-")
		if !isFlag {
			continue
		}
		name, value, joined := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		switch {
		case !joined && name != "client-cert-auth" && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-"):
			i++
			value = words[i]
		case !joined:
			value = "true"
		}
		s[name] = value
	}
}

// file returns the settings of etcd's own configuration file, with which etcd ignores flags and variables.
func (t tree) file(path string) (settings, error) {
	text, err := t.read(path)
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, lookErrorf("%s: %w: %s", t.path(path), err, decide)
	}
	s := settings{}
	for key, value := range doc {
		if security, ok := value.(map[string]any); ok && key == "client-transport-security" {
			for key, value := range security {
				s[key] = fmt.Sprint(value)
			}
		} else if !ok && value != nil {
			s[key] = fmt.Sprint(value)
		}
	}
	return s, nil
}

// endpoint is the address at which a client on this node reaches the member: its loopback address if it listens there. The name localhost
// counts too. A member that listens on all addresses has a certificate for the one that it advertises. What has a variable that only
// somebody else can replace is not known.
func (s settings) endpoint() (string, error) {
	listen := s["listen-client-urls"]
	if listen == "" {
		listen = "http://localhost:2379" // etcd's default
	}
	var loopback, other, wildcard []string
	var unknown error
	for text := range strings.SplitSeq(listen, ",") {
		text = strings.TrimSpace(text)
		u, err := url.Parse(text)
		if err != nil || u.Host == "" && (u.Path == "" || !strings.HasPrefix(u.Scheme, "unix")) || u.User != nil || strings.Contains(text, "$") {
			unknown = fmt.Errorf("%q of listen-client-urls is not a URL with a host: %s", text, decide)
			continue
		}
		u.Path = ""
		ip := net.ParseIP(u.Hostname())
		switch {
		case strings.HasPrefix(u.Scheme, "unix"):
			other = append(other, strings.TrimRight(text, "/"))
		case u.Hostname() == "localhost" || ip.IsLoopback():
			loopback = append(loopback, u.String())
		case u.Hostname() == "" || ip.IsUnspecified():
			host := "127.0.0.1"
			if ip != nil && ip.To4() == nil {
				host = "::1"
			}
			wildcard = append(wildcard, u.Scheme+"://"+net.JoinHostPort(host, u.Port()))
		default:
			other = append([]string{u.String()}, other...)
		}
	}
	if len(wildcard) > 0 && strings.HasPrefix(wildcard[0], "https:") {
		if first, _, _ := strings.Cut(s["advertise-client-urls"], ","); strings.HasPrefix(first, "https://") && !strings.ContainsAny(first, "%$") {
			wildcard = []string{strings.TrimRight(first, "/")}
		}
	}
	if len(loopback) == 0 && unknown != nil {
		return "", unknown
	}
	return append(append(loopback, wildcard...), other...)[0], nil
}

// member makes a Member of the settings. clients are certificates with keys for clients, by preference; etcd's own is the last choice.
func (t tree) member(kind, source string, s settings, clients ...[2]string) (Member, error) {
	m := Member{Kind: kind, Source: t.path(source)}
	var err error
	if m.Endpoint, err = s.endpoint(); err != nil {
		return m, fmt.Errorf("etcd of %s (%s): %w", kind, m.Source, err)
	}
	if dir := s["data-dir"]; filepath.IsAbs(dir) && !strings.ContainsAny(dir+s["wal-dir"], "%$") { // nor what only systemd can replace
		m.DataDir, m.WALDir = t.path(dir), t.path(s["wal-dir"])
	}
	if !strings.HasPrefix(m.Endpoint, "https:") && !strings.HasPrefix(m.Endpoint, "unixs:") {
		return m, nil
	}
	m.CACert = t.path(cmp.Or(s[clientCA], s["trusted-ca-file"]))
	if asks, _ := strconv.ParseBool(s["client-cert-auth"]); !asks && s["trusted-ca-file"] == "" { // then etcd asks clients for no certificate
		return m, nil
	}
	own := [2]string{s["cert-file"], s["key-file"]}
	cert, key, err := t.firstPair(append(clients, own)...)
	if err != nil {
		return m, err
	}
	if cert == "" { // reading them will say which one is missing
		cert, key = own[0], own[1]
	}
	m.Cert, m.Key = t.path(cert), t.path(key)
	if cert, key, err = t.firstPair(own); err != nil {
		return m, err
	}
	m.OwnCert, m.OwnKey = t.path(cert), t.path(key)
	if m.Cert == "" || m.Key == "" {
		return m, fmt.Errorf("etcd of %s (%s) asks for a client certificate, and none was found: %s", kind, m.Source, decide)
	}
	return m, nil
}
