//go:build kubernetes

package kubernetestest

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// shop is a control plane with the objects of testdata, and a shell in which etcd-rolling-backup and kubectl find it, as on a node.
type shop struct {
	*apiServer
	etcd *etcdtest.Cluster
	dir  string // where the commands run
	env  []string
}

func newShop(t *testing.T, etcdVersion string) *shop {
	t.Helper()
	etcd := etcdtest.Run(t, etcdtest.Options{Version: etcdVersion, TLS: true, UnsafeNoFsync: true})
	s := &shop{apiServer: runAPIServer(t, etcd), etcd: etcd, dir: t.TempDir()}
	bin := t.TempDir()
	for _, name := range []string{"etcd-rolling-backup", "kubectl"} {
		program, err := proctest.Program(name)
		must(t, err)
		must(t, os.Symlink(program, filepath.Join(bin, name)))
	}
	s.env = append(proctest.Environ("KUBE", "ETCD", "PATH"), "PATH="+bin+":"+os.Getenv("PATH"),
		"KUBECONFIG="+s.writeJSON(t, "kubeconfig", s.kubeconfig()), "ETCD_BACKUP_CONFIG="+s.writeJSON(t, "config.yaml", s.settings()))
	s.commands(t, "kubectl apply -f "+testdata(t, "cluster.yaml"),
		"kubectl wait --for=condition=Established customresourcedefinition/widgets.example.org", "kubectl apply -f "+testdata(t, "shop.yaml"))
	s.ownReplicaSet(t)
	return s
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	must(t, err)
	return path
}

func (s *shop) kubeconfig() any {
	type object = map[string]any
	return object{
		"apiVersion": "v1", "kind": "Config", "current-context": "shop",
		"contexts": []object{{"name": "shop", "context": object{"cluster": "shop", "user": "admin"}}},
		"clusters": []object{{"name": "shop", "cluster": object{"server": s.base, "certificate-authority": s.pki.CACert}}},
		"users":    []object{{"name": "admin", "user": object{"client-certificate": s.pki.Client.Cert, "client-key": s.pki.Client.Key}}},
	}
}

func (s *shop) settings() any {
	return map[string]any{
		"dir": filepath.Join(s.dir, "store"), "min-free": "0", "node": "node-a", "endpoints": []string{s.etcd.Members[0].Endpoint},
		"cacert": s.etcd.PKI.CACert, "cert": s.etcd.PKI.Client.Cert, "key": s.etcd.PKI.Client.Key,
	}
}

func (s *shop) writeJSON(t *testing.T, name string, content any) string {
	t.Helper()
	text, err := json.Marshal(content)
	must(t, err)
	path := filepath.Join(s.dir, name)
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// shell runs a command line.
func (s *shop) shell(t *testing.T, line string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	var out, failed strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, &out, &failed
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out.String(), failed.String(), cmd.ProcessState.ExitCode()
}

// commands demands that each succeeds, and returns what they print.
func (s *shop) commands(t *testing.T, lines ...string) (stdout, stderr string) {
	t.Helper()
	for _, line := range lines {
		out, failed, status := s.shell(t, line)
		if status != 0 {
			t.Fatalf("%s: status %d\n%s%s", line, status, out, failed)
		}
		stdout, stderr = stdout+out, stderr+failed
	}
	return stdout, stderr
}

// refused demands an exit status, one line that has these texts, and nothing on stdout.
func (s *shop) refused(t *testing.T, want int, line string, texts ...string) {
	t.Helper()
	out, failed, status := s.shell(t, line)
	if status != want || out != "" {
		t.Errorf("%s: status %d, want %d; stdout %q", line, status, want, out)
	}
	for _, text := range texts {
		if !strings.Contains(failed, text) {
			t.Errorf("%s: %q is not in\n%s", line, text, failed)
		}
	}
}

// ownReplicaSet does what a Deployment's controller would do, which doesn't run here.
func (s *shop) ownReplicaSet(t *testing.T) {
	t.Helper()
	uid, _ := s.commands(t, "kubectl get deploy web -n shop -o jsonpath={.metadata.uid}")
	type object = map[string]any
	labels := object{"app": "web"}
	s.writeJSON(t, "owned.json", object{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": object{
			"name": "web-5d4f", "namespace": "shop", "labels": labels,
			"ownerReferences": []object{{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}},
		},
		"spec": object{
			"selector": object{"matchLabels": labels},
			"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []object{{"name": "web", "image": "web"}}}},
		},
	})
	s.commands(t, "kubectl create -f owned.json")
}

// namespaced are all types whose objects are in namespaces, with commas between.
func (s *shop) namespaced(t *testing.T) string {
	t.Helper()
	out, _ := s.commands(t, "kubectl api-resources --namespaced --verbs=list,delete -o name")
	return strings.Join(strings.Fields(out), ",")
}

// deleteNamespace deletes it with all that is in it, as the controllers would, which don't run here.
func (s *shop) deleteNamespace(t *testing.T) {
	t.Helper()
	types := s.namespaced(t)
	s.commands(t, "kubectl delete namespace shop --wait=false", "kubectl delete -n shop --all --wait=false "+types,
		`kubectl patch pvc -n shop data scratch --type=merge -p '{"metadata":{"finalizers":null}}'`)
	if left, _ := s.commands(t, "kubectl get -n shop -o name "+types); left != "" {
		t.Fatalf("not deleted: %s", left)
	}
	s.writeJSON(t, "finalize.json", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}})
	s.commands(t, "kubectl replace --raw /api/v1/namespaces/shop/finalize -f finalize.json")
	if _, _, status := s.shell(t, "kubectl get namespace shop"); status == 0 {
		t.Fatal("the namespace is still there")
	}
}

// objects returns what is in the namespace, by type and name, as the API shows it.
func (s *shop) objects(t *testing.T) map[string]map[string]any {
	t.Helper()
	out, _ := s.commands(t, "kubectl get -n shop -o json "+s.namespaced(t), "true")
	var list struct{ Items []map[string]any }
	must(t, json.Unmarshal([]byte(out), &list))
	all := map[string]map[string]any{}
	for _, o := range list.Items {
		all[o["kind"].(string)+"/"+o["metadata"].(map[string]any)["name"].(string)] = o
	}
	return all
}

// versions are the resource versions of objects.
func versions(all map[string]map[string]any) map[string]any {
	versions := map[string]any{}
	for name, o := range all {
		versions[name] = o["metadata"].(map[string]any)["resourceVersion"]
	}
	return versions
}

// wantSame demands that an object is what it was, apart from what each cluster adds.
func wantSame(t *testing.T, name string, before, after map[string]any) {
	t.Helper()
	before, after = written(before), written(after)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s: it was\n%v\nand is\n%v", name, before, after)
	}
}

// written is an object without what a cluster adds and assigns.
func written(o map[string]any) map[string]any {
	delete(o, "status")
	o["metadata"] = meta(o)
	spec, _ := o["spec"].(map[string]any)
	switch o["kind"] {
	case "Service":
		if spec["clusterIP"] != "None" {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
		delete(spec, "healthCheckNodePort")
		ports, _ := spec["ports"].([]any)
		for _, port := range ports {
			if port := port.(map[string]any); port["nodePort"] != float64(31443) { // that was applied
				delete(port, "nodePort")
			}
		}
	case "Job":
		delete(spec, "selector")
		template := spec["template"].(map[string]any)
		template["metadata"], o["metadata"] = nil, nil // labels with the Job's UID
	case "Pod":
		spec["volumes"], spec["containers"], spec["initContainers"] = nil, nil, nil // the name of the token's volume is random
	}
	return o
}

func meta(o map[string]any) map[string]any {
	metadata := maps.Clone(o["metadata"].(map[string]any))
	for _, name := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		delete(metadata, name)
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	return metadata
}
