// Package kubernetes_test proves what the manifests of this directory say: the types of Kubernetes take them, and what they start is the
// program, with flags and variables that it has, with all that it needs and no more.
package kubernetes_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const staticPod = "static-pod/etcd-rolling-backup.yaml"

// all are the manifests that a person applies.
func all() []string {
	return []string{staticPod, "base", "overlays/s3", "overlays/prometheus"}
}

// An unknown field in a manifest would be ignored by an old API server, and by a kubelet that reads a static pod.
func TestManifestsAreThoseOfTheirAPIs(t *testing.T) {
	for _, path := range all() {
		objects := decoded(t, path)
		for _, o := range objects {
			if o.Metadata.Namespace != "kube-system" {
				t.Errorf("%s: %s %s is in the namespace %q", path, o.Kind, o.Metadata.Name, o.Metadata.Namespace)
			}
		}
		pod(t, objects)
	}
	for text, want := range map[string]string{
		strings.Replace(read(t, staticPod), "hostNetwork: true", "hostNetwrok: true", 1): `unknown field "spec.hostNetwrok"`,
		strings.Replace(read(t, staticPod), "kind: Pod", "kind: Podd", 1):                `no kind "Podd"`,
		read(t, staticPod) + "  hostNetwork: false\n":                                    `"hostNetwork" already set`,
	} {
		path := filepath.Join(t.TempDir(), "pod.yaml")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := decode(t, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The static pod and the DaemonSet differ only in where their settings come from.
func TestStaticPodHasTheRightsOfTheDaemonSet(t *testing.T) {
	static, _ := pod(t, decoded(t, staticPod))
	set, _ := pod(t, decoded(t, "base"))
	a, b := static.Containers[0], set.Containers[0]
	for what, same := range map[string]bool{
		"image":    a.Image == b.Image,
		"liveness": a.LivenessProbe == b.LivenessProbe, "readiness": a.ReadinessProbe == b.ReadinessProbe,
		"volumes": len(static.Volumes) == len(set.Volumes)+1,
	} {
		if !same {
			t.Errorf("%s: %+v and %+v", what, a, b)
		}
	}
	if a.SecurityContext.ReadOnlyRootFilesystem != b.SecurityContext.ReadOnlyRootFilesystem || *a.SecurityContext.RunAsUser != *b.SecurityContext.RunAsUser {
		t.Errorf("%+v and %+v", a.SecurityContext, b.SecurityContext)
	}
}

// A variable that the program does not know is ignored, so each must be in the list that is generated from the flags.
func TestVariablesAreThoseOfTheProgram(t *testing.T) {
	documented := read(t, "..", "..", "docs", "CLI.md")
	for _, path := range all()[1:] {
		_, env := pod(t, decoded(t, path))
		if len(env) == 0 {
			t.Errorf("%s has no settings", path)
		}
		for name := range env {
			if !strings.Contains(documented, "`"+name+"`") {
				t.Errorf("%s: the program has no variable %s", path, name)
			}
		}
	}
}

// The pod monitor finds the pods and their port, and names them as the alert rules want it.
func TestPodMonitorSelectsThePods(t *testing.T) {
	objects := decoded(t, "overlays/prometheus")
	monitor, set := one(t, objects, "PodMonitor"), one(t, objects, "DaemonSet")
	for key, value := range set.Metadata.Labels {
		if label := `"` + key + `":"` + value + `"`; !strings.Contains(string(monitor.Spec), label) || !strings.Contains(string(set.Spec), label) {
			t.Errorf("not selected by %s: %s", label, monitor.Spec)
		}
	}
	if static := one(t, decoded(t, staticPod), "Pod"); !maps.Equal(static.Metadata.Labels, set.Metadata.Labels) {
		t.Errorf("the static pod has the labels %v", static.Metadata.Labels)
	}
	if len(set.Metadata.Labels) == 0 || !strings.Contains(string(monitor.Spec), `"port":"metrics"`) || !strings.Contains(string(set.Spec), `"name":"metrics"`) {
		t.Errorf("the port is not selected: %s", monitor.Spec)
	}
	job := monitor.Metadata.Namespace + "/" + monitor.Metadata.Name
	for _, rule := range regexp.MustCompile(`job=~"([^"]+)"`).FindAllStringSubmatch(read(t, "..", "prometheus", "alerts.yaml"), -1) {
		if !regexp.MustCompile("^(?:" + rule[1] + ")$").MatchString(job) {
			t.Errorf("a rule for the jobs %s does not see %s", rule[1], job)
		}
	}
}
