package detect

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Files of kubeadm.
const (
	manifests = "/etc/kubernetes/manifests"
	pki       = "/etc/kubernetes/pki/etcd"
)

// pod is what a static pod's manifest says about etcd.
type pod struct {
	Spec struct {
		Containers []struct {
			Name          string
			Command, Args []string
			Env           []struct {
				Name, Value string
				ValueFrom   yaml.Node `yaml:"valueFrom"`
			}
			VolumeMounts []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
				SubPath   string `yaml:"subPath"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name     string
			HostPath struct{ Path string } `yaml:"hostPath"`
		}
	}
}

// kubeadm reads the static pods of a control plane node. Without one, as during an upgrade or before a restore, the certificates alone show
// that etcd runs here: kubeadm makes a server certificate only where it does.
func (t tree) kubeadm() ([]Member, error) {
	entries, err := os.ReadDir(t.path(manifests))
	if err != nil && !absent(err) {
		return nil, lookErrorf("%w: %s", err, readAs)
	}
	var found []Member
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") { // as the kubelet does
			continue
		}
		path := manifests + "/" + e.Name()
		text, err := t.read(path)
		if err != nil {
			return nil, err
		}
		s, isEtcd, err := podSettings(text)
		if err != nil {
			return nil, lookErrorf("%s: %w: %s", t.path(path), err, decide)
		}
		if !isEtcd {
			continue
		}
		m, err := t.kubeadmMember(path, s)
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	if len(found) > 0 {
		return found, nil
	}
	cert, key, err := t.firstPair([2]string{pki + "/server.crt", pki + "/server.key"})
	if err != nil || cert == "" {
		return nil, err
	}
	m, err := t.kubeadmMember(pki, settings{
		"listen-client-urls": "https://127.0.0.1:2379", "trusted-ca-file": pki + "/ca.crt", "cert-file": cert, "key-file": key,
	})
	return []Member{m}, err
}

// kubeadmMember prefers the client certificate that kubeadm makes for the probes.
func (t tree) kubeadmMember(source string, s settings) (Member, error) {
	var clients [][2]string
	for _, dir := range []string{filepath.Dir(s["cert-file"]), pki} {
		clients = append(clients, [2]string{dir + "/healthcheck-client.crt", dir + "/healthcheck-client.key"})
	}
	return t.member("kubeadm", source, s, clients...)
}

// podSettings are the flags and variables of the pod's etcd, with the paths of the node. ok is false for another pod.
func podSettings(text []byte) (s settings, ok bool, err error) {
	var p pod
	if err := yaml.Unmarshal(text, &p); err != nil {
		return nil, false, err
	}
	for _, c := range p.Spec.Containers {
		env := map[string]string{}
		for _, e := range c.Env {
			if e.ValueFrom.IsZero() { // else only the kubelet knows it
				env[e.Name] = replace(ofPod, e.Value, env)
			}
		}
		var command []string
		for _, word := range append(slices.Clone(c.Command), c.Args...) {
			command = append(command, replace(ofPod, word, env))
		}
		flags, ok := etcdFlags(command, env)
		if !ok {
			continue
		}
		s := variables(env)
		s.flags(flags)
		if s["config-file"] != "" {
			return nil, true, fmt.Errorf("etcd reads its settings from --config-file %s in the container", s["config-file"])
		}
		mounts := map[string]string{}
		for _, m := range c.VolumeMounts {
			for _, v := range p.Spec.Volumes {
				if v.Name == m.Name && v.HostPath.Path != "" {
					mounts[filepath.Clean(m.MountPath)] = filepath.Join(v.HostPath.Path, m.SubPath)
				}
			}
		}
		for _, name := range []string{"data-dir", "wal-dir", "cert-file", "key-file", "trusted-ca-file"} {
			s[name] = onNode(mounts, s[name])
		}
		return s, true, nil
	}
	return nil, false, nil
}

// onNode is a path of the container on the node: the longest mount decides.
func onNode(mounts map[string]string, path string) string {
	dirs := slices.SortedFunc(maps.Keys(mounts), func(a, b string) int { return len(b) - len(a) })
	for _, dir := range dirs {
		if rest, ok := strings.CutPrefix(path, dir); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(mounts[dir], rest)
		}
	}
	return path
}

// rancher finds the embedded etcd of k3s and RKE2. Its certificates are made for every server; its data only where it runs.
func (t tree) rancher() ([]Member, error) {
	var found []Member
	for _, kind := range []string{"k3s", "rke2"} {
		dir, err := t.rancherDir(kind)
		if err != nil {
			return nil, err
		}
		data := dir + "/server/db/etcd"
		here, err := t.exists(data)
		if err != nil {
			return nil, err
		}
		if !here {
			continue
		}
		tls := dir + "/server/tls/etcd"
		m, err := t.member(kind, data, settings{
			"listen-client-urls": "https://127.0.0.1:2379", "data-dir": data, "trusted-ca-file": tls + "/server-ca.crt",
			"cert-file": tls + "/server-client.crt", "key-file": tls + "/server-client.key",
		}, [2]string{tls + "/client.crt", tls + "/client.key"})
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

// rancherDir is the data directory of k3s or RKE2, which the flags of its service, its configuration files or a variable may move: that is
// their precedence.
func (t tree) rancherDir(kind string) (string, error) {
	flag, variable, err := t.rancherService(kind)
	if err != nil || filepath.IsAbs(flag) {
		return flag, err
	}
	file := "/etc/rancher/" + kind + "/config.yaml"
	entries, err := os.ReadDir(t.path(file + ".d"))
	if err != nil && !absent(err) {
		return "", lookErrorf("%w: %s", err, readAs)
	}
	files := []string{file}
	for _, e := range entries { // sorted: the last one counts
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			files = append(files, file+".d/"+e.Name())
		}
	}
	dir := "/var/lib/rancher/" + kind
	if filepath.IsAbs(variable) {
		dir = variable
	}
	for _, file := range files {
		s, err := t.file(file)
		if err != nil {
			return "", err
		}
		if given := s["data-dir"]; filepath.IsAbs(given) {
			dir = given
		}
	}
	return dir, nil
}

// rancherService returns the data directory in the command line and in the variables of the server's unit, as installers write them.
func (t tree) rancherService(kind string) (flag, variable string, err error) {
	for _, name := range []string{kind + ".service", kind + "-server.service"} {
		_, lines, err := unit{[]string{name}}.read(t)
		if err != nil {
			return "", "", err
		}
		service := serviceOf(lines)
		env, _, err := service.variables(t)
		if err != nil {
			return "", "", err
		}
		s := settings{}
		s.flags(commandLine(service.start, env))
		flag, variable = cmp.Or(flag, s["data-dir"], s["d"]), cmp.Or(variable, env[strings.ToUpper(kind)+"_DATA_DIR"])
	}
	return flag, variable, nil
}
