package rketools_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/rketools"
)

const notFound = `echo 'Error from server (NotFound): secrets "full-cluster-state" not found' >&2; exit 1`

func TestStateIsFetchedFromTheSecret(t *testing.T) {
	compact, indented := exampleState(t)
	b := newKubectlBed(t, "exec 3>&1; stat -L -c '%a %F' /proc/self/fd/3 > mode; echo 'a warning' >&2; cat object")
	b.write("object", kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact))), 0o600)
	if got := b.fetch(t.Context()); string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v; want %q", got.Data, got.Err, indented)
	}
	want := fmt.Sprintf("--request-timeout=30s --kubeconfig %s/etc/kubernetes/ssl/kubecfg-kube-node.yaml -n kube-system get secret full-cluster-state -o json", b.root)
	if got := b.calls(); len(got) != 1 || got[0] != want {
		t.Errorf("kubectl was called with %q, want %q", got, want)
	}
	if mode, err := os.ReadFile(b.path("mode")); err != nil || string(mode) != "600 regular file\n" {
		t.Errorf("kubectl's output is %q, %v", mode, err)
	}
}

func TestStateIsFetchedFromTheConfigMapIfThereIsNoSecret(t *testing.T) {
	compact, indented := exampleState(t)
	b := newKubectlBed(t, `case "$*" in *" secret "*) `+notFound+`;; esac; cat object`)
	b.write("object", kubeObject(t, compact), 0o600)
	if got := b.fetch(t.Context()); string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v; want %q", got.Data, got.Err, indented)
	}
	if got := b.calls(); len(got) != 2 || !strings.Contains(got[1], " get configmap full-cluster-state -o json") {
		t.Errorf("kubectl was called with %q", got)
	}
}

func TestFailedFetchIsTriedAgain(t *testing.T) {
	compact, indented := exampleState(t)
	b := newKubectlBed(t, `[ $(wc -l < calls) -ge 7 ] || { echo "connection refused" >&2; exit 1; }; cat object`)
	b.write("object", kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact))), 0o600)
	if got := b.fetch(t.Context()); string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v", got.Data, got.Err)
	}
	if len(b.calls()) != 7 || b.pauses != 3 {
		t.Errorf("%d calls and %d pauses, want 7 and 3", len(b.calls()), b.pauses)
	}
}

func TestFetchThatFailsEachTimeGivesUp(t *testing.T) {
	b := newKubectlBed(t, "echo first >&2; echo 'Unable to connect to the server: EOF' >&2; exit 1")
	wantAbsent(t, b.fetch(t.Context()), "kubectl get secret full-cluster-state: exit status 1: Unable to connect to the server: EOF",
		"kubectl get configmap full-cluster-state: exit status 1: ")
	if len(b.calls()) != 2*rketools.Tries || b.pauses != rketools.Tries-1 {
		t.Errorf("%d calls and %d pauses", len(b.calls()), b.pauses)
	}
}

func TestMissingKubectlOrKubeconfigIsNotTriedAgain(t *testing.T) {
	for situation, c := range map[string]struct {
		change func(b *kubectlBed) error
		want   string
	}{
		"no kubectl":             {func(b *kubectlBed) error { return os.Remove(b.path("usr/local/bin/kubectl")) }, "kubectl: no such file or directory"},
		"kubectl not executable": {func(b *kubectlBed) error { return os.Chmod(b.path("usr/local/bin/kubectl"), 0o600) }, "permission denied"},
		"kubectl is no program": {func(b *kubectlBed) error {
			return os.WriteFile(b.path("usr/local/bin/kubectl"), []byte("\x7fELF"), 0o700)
		}, "exec format error"},
		"no kubeconfig": {func(b *kubectlBed) error { return os.Remove(b.path("etc/kubernetes/ssl/kubecfg-kube-node.yaml")) }, "no kubeconfig for kubectl: "},
	} {
		t.Run(situation, func(t *testing.T) {
			b := newKubectlBed(t, "exit 1")
			if err := c.change(b); err != nil {
				t.Fatal(err)
			}
			wantAbsent(t, b.fetch(t.Context()), c.want)
			if b.pauses != 0 {
				t.Errorf("%d pauses", b.pauses)
			}
		})
	}
}

func TestOutputThatIsNoStateFileIsNotTriedAgain(t *testing.T) {
	compact, _ := exampleState(t)
	encoded := base64.StdEncoding.EncodeToString([]byte(compact))
	nested := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for situation, c := range map[string]struct{ printed, want string }{
		"nothing":        {"", "is not the JSON of such an object"},
		"text":           {privateKey, "is not the JSON of such an object"},
		"half":           {kubeObject(t, encoded)[:200], "is not the JSON of such an object"},
		"list":           {"[]", "is not the JSON of such an object"},
		"no data":        {"{}", "has no key full-cluster-state"},
		"numbers":        {`{"data":{"full-cluster-state":5}}`, "is not the JSON of such an object"},
		"plain JSON":     {kubeObject(t, compact), "is not base64"},
		"no JSON inside": {kubeObject(t, base64.StdEncoding.EncodeToString([]byte(privateKey))), "is not a JSON object"},
		"half inside":    {kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact[:100]))), "is not a JSON object"},
		"null inside":    {kubeObject(t, base64.StdEncoding.EncodeToString([]byte("null"))), "is not a JSON object"},
		"empty inside":   {kubeObject(t, ""), "is not a JSON object"},
		"nested inside":  {kubeObject(t, base64.StdEncoding.EncodeToString([]byte(`{"a":`+nested+"}"))), "indented, is longer than 16 MiB"},
	} {
		t.Run(situation, func(t *testing.T) {
			b := newKubectlBed(t, "cat object")
			b.write("object", c.printed, 0o600)
			wantAbsent(t, b.fetch(t.Context()), "kubectl get secret full-cluster-state: ", c.want)
			if len(b.calls()) != 1 {
				t.Errorf("kubectl was called with %q", b.calls())
			}
		})
	}
}

func TestMessagesWithAStateFileAreNotShown(t *testing.T) {
	compact, _ := exampleState(t)
	for situation, message := range map[string]string{"one line": compact, "key": strings.Split(privateKey, "\n")[1], "word": "can't parse " + strings.Split(privateKey, "\n")[1] + "!", "lines": strings.Join(strings.Split(privateKey, "\n")[:2], "\n")} {
		t.Run(situation, func(t *testing.T) {
			b := newKubectlBed(t, "cat message >&2; exit 1")
			b.write("message", message, 0o600)
			if got := b.fetch(t.Context()); strings.Contains(got.Err.Error(), "bnV0") {
				t.Errorf("the error shows it: %v", got.Err)
			} else {
				wantAbsent(t, got, "exit status 1: ")
			}
		})
	}
}
