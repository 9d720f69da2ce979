package detect_test

import (
	"strings"
	"testing"

	"etcd-rolling-backup/internal/detect"
)

// debian is the unit of Debian's package etcd-server, and what enabling it links to it.
func debian(more ...string) map[string]string {
	const installed = "[Install]\nWantedBy=multi-user.target\nAlias=etcd2.service\n"
	return with(map[string]string{
		unitFile: "[Service]\nEnvironment=DAEMON_ARGS=\nEnvironment=ETCD_NAME=%H\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd/default\nEnvironmentFile=-/etc/default/%p\n" +
			"Type=notify\nUser=etcd\n#ExecStart=/bin/sh -c \"GOMAXPROCS=$(nproc) /usr/bin/etcd $DAEMON_ARGS\"\nExecStart=/usr/bin/etcd $DAEMON_ARGS\n" + installed,
		"/etc/systemd/system/etcd2.service":                        "->../../../lib/systemd/system/etcd.service", // leads there below any root
		"/etc/systemd/system/multi-user.target.wants/etcd.service": "->/lib/systemd/system/etcd.service",
	}, more...)
}

// Each is a form in which installers and administrators write the settings of etcd.
func TestSettingsAreReadInEveryForm(t *testing.T) {
	const (
		standard = "/etc/default/etcd"
		dropIn   = "/etc/systemd/system/etcd.service.d/"
		flags    = "--listen-client-urls https://10.0.0.5:2379,https://127.0.0.1:2381 --cert-file=/pki/a.crt --key-file /pki/a.key --trusted-ca-file '/pki/the ca.crt'"
		plain    = "systemd (" + unitFile + "): endpoint http://localhost:2379"
		byFlags  = "endpoint https://127.0.0.1:2381, CA /pki/the ca.crt, certificate /pki/a.crt, key /pki/a.key"
	)
	certificates := []string{"/pki/a.crt", "", "/pki/a.key", "", "/pki/the ca.crt", ""}
	podWith := func(env, address string) map[string]string {
		return map[string]string{manifest: "spec:\n  containers:\n  - name: etcd\n    env:\n" + env + "    command: [etcd, --data-dir=/srv/etcd]\n    args: ['--listen-client-urls=" + address + "']\n"}
	}
	embedded := func(kind, dir string, more ...string) map[string]string {
		return with(map[string]string{
			dir + "/server/db/etcd/name": "", dir + "/server/tls/etcd/server-ca.crt": "", dir + "/server/tls/etcd/client.crt": "", dir + "/server/tls/etcd/client.key": "",
			"/etc/rancher/" + kind + "/config.yaml": "token: x\n",
		}, more...)
	}
	at := func(kind, dir string) string {
		return kind + " (" + dir + "/server/db/etcd): endpoint https://127.0.0.1:2379, CA " + dir + "/server/tls/etcd/server-ca.crt, certificate " + dir +
			"/server/tls/etcd/client.crt, key " + dir + "/server/tls/etcd/client.key, data directory " + dir + "/server/db/etcd"
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Debian's unit, enabled with its alias, and variables": {
			debian(standard, "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.5:2379\nETCD_DATA_DIR=\"/srv/etcd\"\n"),
			"systemd (" + unitFile + ", " + standard + "): endpoint http://10.0.0.5:2379, data directory /srv/etcd, user etcd",
		},
		"flags in one variable": {
			with(debian(standard, "DAEMON_ARGS=\""+strings.ReplaceAll(flags, `"`, `\"`)+"\"\n"), certificates...),
			"systemd (" + unitFile + ", " + standard + "): " + byFlags + ", data directory /var/lib/etcd/default, user etcd",
		},
		"drop-ins of the unit, of its alias, and of all services": {
			debian(dropIn+"override.conf", "[Service]\nUser=other\n", "/etc/systemd/system/etcd2.service.d/data.conf", "[Service]\nEnvironment=ETCD_DATA_DIR=/srv/two\n",
				"/etc/systemd/system/service.d/x.conf", "[Service]\nGroup=backup\n"),
			plain + ", data directory /srv/two, user other:backup",
		},
		"masked drop-in": {
			debian(dropIn+"10-data.conf", "->/dev/null", "/lib/systemd/system/etcd.service.d/10-data.conf", "[Service]\nEnvironment=ETCD_DATA_DIR=/old\n"),
			plain + ", data directory /var/lib/etcd/default, user etcd",
		},
		"instance with a file and a drop-in of its own": {
			map[string]string{
				"/lib/systemd/system/etcd@.service":                            unit("ExecStart=/usr/bin/etcd --data-dir=/old"),
				"/etc/systemd/system/multi-user.target.wants/etcd@one.service": "->/lib/systemd/system/etcd@.service",
				"/etc/systemd/system/etcd@one.service":                         unit("ExecStart=/usr/bin/etcd --data-dir=/srv/%i"),
				"/etc/systemd/system/etcd@one.service.d/user.conf":             "[Service]\nUser=one\n",
			},
			"systemd (/etc/systemd/system/etcd@one.service): endpoint http://localhost:2379, data directory /srv/one, user one",
		},
		"comments between the lines of a command": {
			map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd \\", "  --data-dir=/srv/etcd \\", "  # --enable-v2 \\", "; the address", "  --listen-client-urls=http://127.0.0.1:2390")},
			"systemd (" + unitFile + "): endpoint http://127.0.0.1:2390, data directory /srv/etcd",
		},
		"comment that ends like a line with a continuation": {
			map[string]string{unitFile: unit("#ExecStart=/usr/bin/etcd --old \\", "ExecStart=/usr/bin/etcd --data-dir=/srv/etcd")},
			plain + ", data directory /srv/etcd",
		},
		"a shell's variables": {
			with(map[string]string{
				unitFile:        unit(`EnvironmentFile=/etc/etcd.env`, `ExecStart=/bin/sh -c 'GOMAXPROCS=$(nproc --all) exec /usr/bin/etcd $FLAGS --data-dir "$${DIR}" --wal-dir=${WAL:-/srv/wal} --client-cert-auth $MORE >>/var/log/etcd.log 2>&1'`),
				"/etc/etcd.env": "FLAGS=--listen-client-urls https://127.0.0.1:2381 --cert-file=/pki/a.crt --key-file /pki/a.key\nDIR=\"/srv/the data\"\n",
			}, certificates...),
			"systemd (" + unitFile + ", /etc/etcd.env): endpoint https://127.0.0.1:2381, certificate /pki/a.crt, key /pki/a.key, data directory /srv/the data, write-ahead log /srv/wal",
		},
		"a data directory that only the shell knows": {map[string]string{unitFile: unit(`ExecStart=/bin/bash -c "etcd --data-dir /srv/$HOSTNAME"`)}, plain},
		"a socket":                   {map[string]string{unitFile: unit("ExecStart=/usr/bin/etcd --listen-client-urls unix:///run/etcd.sock")}, "systemd (" + unitFile + "): endpoint unix:///run/etcd.sock"},
		"a pod's variables":          {podWith("    - {name: IP, value: 10.0.0.7}\n    - {name: ADDRESS, value: \"http://$(IP):2379\"}\n", "$(ADDRESS)"), "kubeadm (" + manifest + "): endpoint http://10.0.0.7:2379, data directory /srv/etcd"},
		"a pod that knows its node":  {podWith("    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}\n", "http://$(IP):2379,http://127.0.0.1:2379"), "kubeadm (" + manifest + "): endpoint http://127.0.0.1:2379, data directory /srv/etcd"},
		"k3s moved by its installer": {embedded("k3s", "/srv/k3s", "/etc/systemd/system/k3s.service", unit("ExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--data-dir' \\\n\t'/srv/k3s' \\\n")), at("k3s", "/srv/k3s")},
		"RKE2 moved by a variable":   {embedded("rke2", "/srv/r", "/usr/local/lib/systemd/system/rke2-server.service", unit("EnvironmentFile=-/etc/default/%N", "ExecStart=/usr/local/bin/rke2 server"), "/etc/default/rke2-server", "RKE2_DATA_DIR=/srv/r\n"), at("rke2", "/srv/r")},
		"RKE2 moved by a later file": {embedded("rke2", "/srv/r", "/etc/rancher/rke2/config.yaml.d/10.yaml", "data-dir: /old\n", "/etc/rancher/rke2/config.yaml.d/20.yaml", "data-dir: /srv/r\n"), at("rke2", "/srv/r")},
	} {
		t.Run(name, func(t *testing.T) {
			root := node(t, test.files)
			got, err := detect.Find(root)
			if err != nil || got == nil {
				t.Fatalf("found %v, error %v", got, err)
			}
			if text := strings.ReplaceAll(got.String(), root, ""); text != test.want {
				t.Errorf("found %s\nwant  %s", text, test.want)
			}
		})
	}
}

// An alias leads to its unit, whatever its file is.
func TestAliasOfAMaskedUnitIsMasked(t *testing.T) {
	if m, err := detect.Find(node(t, debian("/etc/systemd/system/etcd.service", "->/dev/null"))); m != nil || err != nil {
		t.Errorf("found %v, error %v", m, err)
	}
}

// Nobody takes an address with a variable in it for an address.
func TestAddressThatOnlyTheKubeletKnowsIsRefused(t *testing.T) {
	root := node(t, map[string]string{manifest: "spec: {containers: [{name: etcd, command: [etcd, '--listen-client-urls=https://$(HOST_IP):2379']}]}"})
	if m, err := detect.Find(root); err == nil || !strings.Contains(err.Error(), `"https://$(HOST_IP):2379" of listen-client-urls`) || !strings.Contains(err.Error(), root+manifest) {
		t.Errorf("found %v, error %v", m, err)
	}
}
