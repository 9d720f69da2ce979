package rketest

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The bed itself: what a container sees, what the machine does not, and that it is process 1 with no signal handler but its own.
func TestContainerSeesTheRealPathsAndTheMachineDoesNot(t *testing.T) {
	n := NewCluster(t, 1, Namespaces{StopSignal: syscall.SIGQUIT}, script(t, `
		echo "process $$"; echo "$@"; echo "$S3_ACCESS_KEY"
		echo data >/backup/new; echo state >/tmp/cluster.rkestate; ls /etc/kubernetes/ssl | head -1
		echo "the error" >&2; exit 3`)).Nodes[0]
	p := n.Run(t, 3, Call{Container: "c", Kubernetes: true, Env: []string{"S3_ACCESS_KEY=k"}, Args: []string{Program, "etcd-backup", "save"}})
	if want := "process 1\netcd-backup save\nk\nkube-ca.pem\nthe error\n"; p.Output() != want || p.LastLine() != "the error" {
		t.Errorf("the container wrote %q, want %q; last line %q", p.Output(), want, p.LastLine())
	}
	for _, path := range []string{n.Snapshots("new"), n.Path(StateFile)} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	p = n.Run(t, 0, Call{Container: "c", Args: []string{"sh", "-c", "! test -e /etc/kubernetes/ssl/kube-ca.pem"}})
	for _, path := range []string{"/backup", "/opt/rke-tools", StateFile, CA} {
		if exists(path) {
			t.Errorf("%s is on the machine itself; the container: %s", path, p.Output())
		}
	}
}

func TestStoppedContainerGetsTheSignalOfItsImage(t *testing.T) {
	n := NewCluster(t, 1, Namespaces{StopSignal: syscall.SIGQUIT}, script(t, `
		trap 'echo got it; exit 7' QUIT; echo ready; while :; do sleep 0.05; done`)).Nodes[0]
	p := n.Start(t, Config{}.Rolling(n.IP))
	eventually(t, "it was ready", func() bool { return p.LastLine() == "ready" })
	if status := p.Stop(t); status != 7 || p.LastLine() != "got it" {
		t.Errorf("status %d:\n%s", status, p.Output())
	}
}

// The client certificate is what RKE's is: good for etcd, which asks for no name, and no good as a web server's.
func TestCertificateOfTheNodesIsForClientsOnly(t *testing.T) {
	c := NewCluster(t, 1, Namespaces{}, script(t, ""))
	c.StartEtcd(t)
	if _, err := c.Client(t).Put(t.Context(), "a", "b"); err != nil {
		t.Error(err)
	}
	config, err := client(c.Nodes[0].ssl())
	must(t, err)
	cert, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	must(t, err)
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || len(cert.DNSNames)+len(cert.IPAddresses) > 0 ||
		cert.Subject.CommonName != "system:node" {
		t.Errorf("subject %s, usage %v, names %v %v", cert.Subject, cert.ExtKeyUsage, cert.DNSNames, cert.IPAddresses)
	}
	stranger := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.RootCAs}, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:2379/health", nil)
	must(t, err)
	if res, err := stranger.RoundTrip(req); err == nil {
		_ = res.Body.Close()
		t.Error("etcd answers a client without a certificate")
	}
}

func TestKubectlAnswersTheQuestionForTheStateFileOnly(t *testing.T) {
	n := NewCluster(t, 1, Namespaces{}, script(t, "")).Nodes[0]
	n.GiveKubectl(t, State("c"))
	ask := "kubectl --request-timeout=30s --kubeconfig /etc/kubernetes/ssl/kubecfg-kube-node.yaml -n kube-system get secret full-cluster-state -o json"
	out := n.Run(t, 0, Call{Container: "c", Kubernetes: true, Args: []string{"sh", "-c", ask}}).Output()
	if !strings.Contains(out, `"kind":"Secret"`) {
		t.Error(out)
	}
	n.Run(t, 1, Call{Container: "c", Kubernetes: true, Args: []string{"sh", "-c", strings.Replace(ask, "secret", "configmap", 1)}})
}

func TestArchiveIsWhatTheOriginalWrites(t *testing.T) {
	var text bytes.Buffer
	must(t, Archive(&text, "snap1", []byte("database"), State("c")))
	z, err := zip.NewReader(bytes.NewReader(text.Bytes()), int64(text.Len()))
	must(t, err)
	if len(z.File) != 2 || z.Comment != "" {
		t.Fatalf("%d members, comment %q", len(z.File), z.Comment)
	}
	for i, want := range []struct{ name, content, mode string }{
		{"/backup/snap1", "database", "-rw-------"}, {"/etc/kubernetes/snap1.rkestate", string(State("c")), "-r--------"},
	} {
		f := z.File[i]
		r, err := f.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		if f.Name != want.name || f.Method != zip.Deflate || string(content) != want.content || f.Mode().String() != want.mode {
			t.Errorf("member %s %s, method %d: %q", f.Name, f.Mode(), f.Method, content)
		}
	}
}

// script is a program that stands for ours.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(path, []byte("#!/bin/bash\n"+text), 0o700))
	return path
}
