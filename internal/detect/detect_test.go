package detect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/detect"
)

// node makes the files of a node and returns its root directory. A content that begins with -> is a link.
func node(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		target, isLink := strings.CutPrefix(text, "->")
		err := error(nil)
		if isLink {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pod is the manifest that kubeadm writes, as far as it matters.
func pod(flags ...string) string {
	return `apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://10.0.0.11:2379
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --` + strings.Join(flags, "\n    - --") + `
    image: registry.k8s.io/etcd:3.6.4-0
    name: etcd
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
    - mountPath: /etc/kubernetes/pki/etcd
      name: etcd-certs
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki/etcd
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: /data/etcd
      type: DirectoryOrCreate
    name: etcd-data
`
}

const (
	manifest = "/etc/kubernetes/manifests/etcd.yaml"
	pki      = "/etc/kubernetes/pki/etcd/"
	k3s      = "/var/lib/rancher/k3s/server/"
	unitFile = "/lib/systemd/system/etcd.service"
)

func kubeadmPod() string {
	return pod("advertise-client-urls=https://10.0.0.11:2379", "cert-file="+pki+"server.crt", "client-cert-auth=true", "data-dir=/var/lib/etcd", "key-file="+pki+"server.key",
		"listen-client-urls=https://127.0.0.1:2379,https://10.0.0.11:2379", "trusted-ca-file="+pki+"ca.crt")
}

// with returns the files and further ones, given as path and content in turn.
func with(files map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for path, text := range files {
		all[path] = text
	}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func kubeadm(more ...string) map[string]string {
	return with(map[string]string{
		manifest: kubeadmPod(), pki + "ca.crt": "", pki + "server.crt": "", pki + "server.key": "",
		pki + "healthcheck-client.crt": "", pki + "healthcheck-client.key": "",
	}, more...)
}

func rancher(kind string) map[string]string {
	dir := "/var/lib/rancher/" + kind + "/server/"
	return map[string]string{dir + "db/etcd/name": "", dir + "tls/etcd/server-ca.crt": "", dir + "tls/etcd/client.crt": "", dir + "tls/etcd/client.key": ""}
}

func unit(lines ...string) string {
	return "[Unit]\nDescription=etcd\n[Service]\nType=notify\n" + strings.Join(lines, "\n") + "\n[Install]\nWantedBy=multi-user.target\n"
}

func TestMemberOfEachInstallerIsFound(t *testing.T) {
	kubeadmMember := detect.Member{
		Kind: "kubeadm", Source: manifest, Endpoint: "https://127.0.0.1:2379", CACert: pki + "ca.crt",
		Cert: pki + "healthcheck-client.crt", Key: pki + "healthcheck-client.key", DataDir: "/data/etcd",
	}
	withServerCert, withoutPod := kubeadmMember, kubeadmMember
	withServerCert.Cert, withServerCert.Key = pki+"server.crt", pki+"server.key"
	withoutPod.Source, withoutPod.DataDir = "/etc/kubernetes/pki/etcd", ""
	noClient := kubeadm()
	delete(noClient, pki+"healthcheck-client.crt")
	noPod := kubeadm()
	delete(noPod, manifest)
	packaged := detect.Member{Kind: "systemd", Source: unitFile, Endpoint: "http://localhost:2379", DataDir: "/var/lib/etcd/default"}
	unknownData := packaged
	unknownData.DataDir = ""
	for name, test := range map[string]struct {
		files map[string]string
		want  detect.Member
	}{
		"kubeadm":                            {kubeadm(), kubeadmMember},
		"kubeadm with other pods":            {kubeadm("/etc/kubernetes/manifests/kube-apiserver.yaml", strings.ReplaceAll(kubeadmPod(), "etcd\n", "kube-apiserver\n")), kubeadmMember},
		"kubeadm with a copy of the pod":     {kubeadm("/etc/kubernetes/manifests/etcd.yaml.old", kubeadmPod(), "/etc/kubernetes/manifests/.etcd.swp", "\x00"), kubeadmMember},
		"kubeadm without probe certificate":  {noClient, withServerCert},
		"kubeadm whose pod was moved away":   {noPod, withoutPod},
		"kubeadm next to k3s without a data": {kubeadm(k3s+"tls/etcd/server-ca.crt", ""), kubeadmMember},
		"k3s": {rancher("k3s"), detect.Member{
			Kind: "k3s", Source: k3s + "db/etcd", Endpoint: "https://127.0.0.1:2379", DataDir: k3s + "db/etcd",
			CACert: k3s + "tls/etcd/server-ca.crt", Cert: k3s + "tls/etcd/client.crt", Key: k3s + "tls/etcd/client.key",
		}},
		"RKE2 in another directory": {
			map[string]string{
				"/etc/rancher/rke2/config.yaml": "token: x\ndata-dir: /srv/rke2\ntls-san:\n- a\n", "/srv/rke2/server/db/etcd/name": "",
				"/srv/rke2/server/tls/etcd/server-ca.crt": "", "/srv/rke2/server/tls/etcd/client.crt": "", "/srv/rke2/server/tls/etcd/client.key": "",
			},
			detect.Member{
				Kind: "rke2", Source: "/srv/rke2/server/db/etcd", Endpoint: "https://127.0.0.1:2379", DataDir: "/srv/rke2/server/db/etcd",
				CACert: "/srv/rke2/server/tls/etcd/server-ca.crt", Cert: "/srv/rke2/server/tls/etcd/client.crt", Key: "/srv/rke2/server/tls/etcd/client.key",
			},
		},
		"Debian's package": {map[string]string{
			unitFile:            unit("Environment=ETCD_DATA_DIR=/var/lib/etcd/default", "EnvironmentFile=-/etc/default/%p", "ExecStart=/usr/bin/etcd"),
			"/etc/default/etcd": "ETCD_LISTEN_CLIENT_URLS=http://localhost:2399\n# ETCD_DATA_DIR=\n",
		}, detect.Member{Kind: "systemd", Source: unitFile + ", /etc/default/etcd", Endpoint: "http://localhost:2399", DataDir: "/var/lib/etcd/default"}},
		"data directory by a specifier": {map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd --data-dir /srv/%H")}, unknownData},
		"unit of two names": {map[string]string{
			unitFile:                            unit("Environment=ETCD_DATA_DIR=/var/lib/etcd/default", "ExecStart=/usr/bin/etcd"),
			"/etc/systemd/system/etcd2.service": "->../../../" + unitFile,
		}, packaged},
		"environment file alone": {
			map[string]string{"/etc/default/etcd": "# a comment\nETCD_NAME=\"a\"\nexport ETCD_DATA_DIR='/srv/etcd data'\nETCD_UNUSED='a\\' \nETCD_LISTEN_CLIENT_URLS=\"http://10.0.0.11:2379,http://127.0.0.1:2399\"\n"},
			detect.Member{Kind: "systemd", Source: "/etc/default/etcd", Endpoint: "http://127.0.0.1:2399", DataDir: "/srv/etcd data"},
		},
		"CentOS's unit": {
			map[string]string{
				"/usr/lib/systemd/system/etcd.service": unit("EnvironmentFile=-/etc/etcd/etcd.conf",
					`ExecStart=/bin/bash -c "GOMAXPROCS=$(nproc) /usr/bin/etcd --name=\"${ETCD_NAME}\" --data-dir=\"${ETCD_DATA_DIR}\" --listen-client-urls=\"${ETCD_LISTEN_CLIENT_URLS}\""`),
				"/etc/etcd/etcd.conf": "ETCD_DATA_DIR=\"/var/lib/etcd/a.etcd\"\nETCD_LISTEN_CLIENT_URLS=\"https://0.0.0.0:2379\"\nETCD_ADVERTISE_CLIENT_URLS=https://a.example.com:2379\n" +
					"ETCD_CERT_FILE=/etc/etcd/a.crt\nETCD_KEY_FILE=/etc/etcd/a.key\nETCD_TRUSTED_CA_FILE=/etc/etcd/ca.crt\n",
				"/etc/etcd/a.crt": "", "/etc/etcd/a.key": "", "/etc/etcd/ca.crt": "",
			},
			detect.Member{
				Kind: "systemd", Source: "/usr/lib/systemd/system/etcd.service, /etc/etcd/etcd.conf", Endpoint: "https://a.example.com:2379",
				CACert: "/etc/etcd/ca.crt", Cert: "/etc/etcd/a.crt", Key: "/etc/etcd/a.key", DataDir: "/var/lib/etcd/a.etcd",
			},
		},
		"unit with flags, a drop-in and a certificate for etcdctl": {
			map[string]string{
				"/etc/systemd/system/etcd.service":           unit("EnvironmentFile=/etc/etcd.env", "ExecStart=/usr/local/bin/etcd \\\n  --data-dir /old --listen-client-urls 'http://[::]:2379'"),
				"/etc/systemd/system/etcd.service.d/10.conf": "[Service]\nUser=etcd\nGroup=backup\nExecStart=\nExecStart=/usr/local/bin/etcd --data-dir /srv/etcd --wal-dir=/srv/wal \\\n --listen-client-urls https://10.0.0.5:2379",
				"/lib/systemd/system/etcd.service":           unit("ExecStart=/usr/bin/etcd"),
				"/etc/etcd.env":                              "ETCD_CLIENT_CERT_AUTH=true\nETCD_TRUSTED_CA_FILE=/pki/ca.pem\nETCDCTL_CERT=/pki/admin.pem\nETCDCTL_KEY=/pki/admin-key.pem\n",
				"/pki/ca.pem":                                "", "/pki/admin.pem": "", "/pki/admin-key.pem": "",
			},
			detect.Member{
				Kind: "systemd", Source: "/etc/systemd/system/etcd.service, /etc/etcd.env", Endpoint: "https://10.0.0.5:2379",
				CACert: "/pki/ca.pem", Cert: "/pki/admin.pem", Key: "/pki/admin-key.pem", DataDir: "/srv/etcd", WALDir: "/srv/wal", User: "etcd:backup",
			},
		},
		"unit with a configuration file": {
			map[string]string{
				unitFile: unit("ExecStart=/usr/bin/etcd --config-file /etc/etcd/etcd.yml --data-dir /ignored"),
				"/etc/etcd/etcd.yml": "data-dir: /srv/etcd\nlisten-client-urls: https://localhost:2379\n" +
					"client-transport-security:\n  client-cert-auth: true\n  trusted-ca-file: /pki/ca\n  cert-file: /pki/crt\n  key-file: /pki/key\n",
				"/pki/ca": "", "/pki/crt": "", "/pki/key": "",
			},
			detect.Member{
				Kind: "systemd", Source: unitFile, Endpoint: "https://localhost:2379", CACert: "/pki/ca", Cert: "/pki/crt", Key: "/pki/key", DataDir: "/srv/etcd",
			},
		},
		"instance of a template": {
			map[string]string{
				"/lib/systemd/system/etcd@.service":                            unit("ExecStart=/usr/bin/etcd --data-dir=/srv/%i"),
				"/etc/systemd/system/multi-user.target.wants/etcd@one.service": "->/lib/systemd/system/etcd@.service",
			},
			detect.Member{Kind: "systemd", Source: "/lib/systemd/system/etcd@.service", Endpoint: "http://localhost:2379", DataDir: "/srv/one"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := node(t, test.files)
			got, err := detect.Find(root)
			if err != nil || got == nil {
				t.Fatalf("found %v, error %v", got, err)
			}
			if text := strings.ReplaceAll(got.String(), root, ""); text != test.want.String() {
				t.Errorf("found %s\nwant  %s", text, test.want)
			}
		})
	}
}

// What only resembles an etcd is none.
func TestNodeWithoutEtcdHasNone(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nothing":                      nil,
		"a comment in /etc/default":    {"/etc/default/etcd": "# ETCD_DATA_DIR=/var/lib/etcd\n"},
		"a masked unit":                {"/etc/systemd/system/etcd.service": "->/dev/null", unitFile: unit("ExecStart=/usr/bin/etcd")},
		"a backup job, and a template": {"/etc/systemd/system/etcd-backup.service": unit("ExecStart=/usr/bin/backup --data-dir /var/lib/etcd"), "/lib/systemd/system/etcd@.service": unit("ExecStart=/usr/bin/etcd")},
		"k3s with another database":    {k3s + "db/state.db": "", k3s + "tls/etcd/server-ca.crt": ""},
		"kubeadm with etcd elsewhere":  {"/etc/kubernetes/pki/etcd/ca.crt": "", "/etc/kubernetes/pki/apiserver-etcd-client.crt": "", "/etc/kubernetes/manifests/kube-apiserver.yaml": "spec: {containers: [{name: kube-apiserver, command: [kube-apiserver, --etcd-servers=https://10.0.0.1:2379]}]}"},
	} {
		if m, err := detect.Find(node(t, files)); m != nil || err != nil {
			t.Errorf("%s: found %v, error %v", name, m, err)
		}
	}
	if m, err := detect.Find("/dev/null"); m != nil || err != nil {
		t.Errorf("no directory: found %v, error %v", m, err)
	}
}
