package detect_test

import (
	"errors"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/detect"
)

func TestSeveralEtcdsAreNamedAndNoneIsChosen(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"kubeadm and k3s":     {with(kubeadm(), k3s+"db/etcd/name", "", k3s+"tls/etcd/client.crt", "", k3s+"tls/etcd/client.key", ""), []string{"kubeadm (ROOT" + manifest, "k3s (ROOT" + k3s + "db/etcd)"}},
		"kubeadm and systemd": {kubeadm(unitFile, unit("ExecStart=/usr/bin/etcd")), []string{"kubeadm (", "systemd (ROOT" + unitFile + ")"}},
		"two units":           {map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd"), "/lib/systemd/system/etcd-events.service": unit("ExecStart=/usr/bin/etcd --data-dir /events")}, []string{"etcd.service", "etcd-events.service"}},
		"two static pods":     {kubeadm("/etc/kubernetes/manifests/etcd-events.yaml", strings.ReplaceAll(kubeadmPod(), ":2379", ":2381")), []string{manifest, "etcd-events.yaml"}},
	} {
		root := node(t, test.files)
		m, err := detect.Find(root)
		if m != nil || !errors.Is(err, detect.ErrSeveral) {
			t.Errorf("%s: found %v, error %v", name, m, err)
			continue
		}
		for _, want := range append(test.want, "--endpoints") {
			if !strings.Contains(err.Error(), strings.ReplaceAll(want, "ROOT", root)) {
				t.Errorf("%s: %q is not in: %v", name, want, err)
			}
		}
	}
}

func TestWhatCannotBeUsedIsOneLineWithFileAndRemedy(t *testing.T) {
	noKey := rancher("k3s")
	delete(noKey, k3s+"tls/etcd/client.key")
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"missing key":    {noKey, []string{k3s + "tls/etcd/server-client.crt: no such file", "k3s", "--endpoints"}},
		"key is a pipe":  {with(kubeadm(), pki+"healthcheck-client.key", "->/dev/tty"), []string{pki + "healthcheck-client.key", "kubeadm", "--endpoints"}},
		"broken pod":     {kubeadm(manifest, "spec: [\n"), []string{manifest, "--endpoints"}},
		"no client cert": {map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd --listen-client-urls https://127.0.0.1:2379 --client-cert-auth")}, []string{unitFile, "client certificate", "--cert"}},
		"broken address": {map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd --listen-client-urls ${ADDRESS}:2379")}, []string{unitFile, `"${ADDRESS}:2379"`, "--endpoints"}},
	} {
		root := node(t, test.files)
		_, err := detect.Find(root)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: want one line with %q: %v", name, want, err)
			}
		}
	}
}

// Members present etcd's own certificate to each other, whatever is best for a client.
func TestOwnCertificateIsKnownWhereItExists(t *testing.T) {
	files := rancher("k3s")
	if m, err := detect.Find(node(t, files)); err != nil || m.OwnCert != "" {
		t.Errorf("without one: %v, error %v", m, err)
	}
	files[k3s+"tls/etcd/server-client.crt"], files[k3s+"tls/etcd/server-client.key"] = "", ""
	for cert, files := range map[string]map[string]string{k3s + "tls/etcd/server-client.crt": files, pki + "server.crt": kubeadm()} {
		root := node(t, files)
		if m, err := detect.Find(root); err != nil || m.OwnCert != root+cert || m.Cert == m.OwnCert || !strings.HasPrefix(m.OwnKey, root+strings.TrimSuffix(cert, "crt")) {
			t.Errorf("want %s: %+v, error %v", cert, m, err)
		}
	}
}
