package kubernetes_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/internal/proctest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return string(text)
}

// object is what the tests read of a manifest.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Data map[string]string // of a ConfigMap
	Spec json.RawMessage
}

// podSpec is what a kubelet does of a pod's, as far as the bed does it too.
type podSpec struct {
	HostNetwork     bool
	SecurityContext struct{ SeccompProfile struct{ Type string } }
	Containers      []containerSpec
	Volumes         []volume

	TerminationGracePeriodSeconds int
}

type containerSpec struct {
	Image           string
	Command, Args   []string
	EnvFrom         []struct{ ConfigMapRef struct{ Name string } }
	Env             []struct{ Name, Value string }
	Ports           []struct{ Name, ContainerPort any }
	LivenessProbe   probe
	ReadinessProbe  probe
	SecurityContext struct {
		RunAsUser, RunAsGroup    *int
		AllowPrivilegeEscalation *bool
		ReadOnlyRootFilesystem   bool
		Capabilities             struct{ Add, Drop []string }
	}
	VolumeMounts []struct {
		Name, MountPath string
		ReadOnly        bool
	}
}

type probe struct{ HTTPGet struct{ Path, Port string } }

type volume struct {
	Name     string
	HostPath *struct{ Path, Type string }
	Secret   *struct {
		SecretName  string
		DefaultMode os.FileMode
	}
}

// decoded are the objects of a file, or those that kustomize builds from a directory, decoded into the types of Kubernetes.
func decoded(t *testing.T, path string) []object {
	t.Helper()
	objects, err := decode(t, path)
	must(t, err)
	return objects
}

func decode(t *testing.T, path string) ([]object, error) {
	t.Helper()
	program, err := proctest.Program("manifests")
	must(t, err)
	out, err := exec.CommandContext(t.Context(), program, path).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, errors.New(string(exit.Stderr))
	}
	must(t, err)
	var objects []object
	return objects, json.Unmarshal(out, &objects)
}

// one is the only object of a kind.
func one(t *testing.T, objects []object, kind string) object {
	t.Helper()
	var found []object
	for _, o := range objects {
		if o.Kind == kind {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects are a %s", len(found), kind)
	}
	return found[0]
}

// pod is the pod among the objects, or that of the DaemonSet, with its environment.
func pod(t *testing.T, objects []object) (spec podSpec, env map[string]string) {
	t.Helper()
	for _, o := range objects {
		switch o.Kind {
		case "Pod":
			must(t, json.Unmarshal(o.Spec, &spec))
		case "DaemonSet":
			var set struct{ Template struct{ Spec podSpec } }
			must(t, json.Unmarshal(o.Spec, &set))
			spec = set.Template.Spec
		}
	}
	if len(spec.Containers) != 1 {
		t.Fatalf("%d containers", len(spec.Containers))
	}
	env = map[string]string{}
	for _, from := range spec.Containers[0].EnvFrom {
		settings := one(t, objects, "ConfigMap")
		if from.ConfigMapRef.Name != settings.Metadata.Name {
			t.Errorf("the pod reads the ConfigMap %s, which is not %s", from.ConfigMapRef.Name, settings.Metadata.Name)
		}
		maps.Copy(env, settings.Data)
	}
	for _, e := range spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	return spec, env
}
