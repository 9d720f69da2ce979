package rketest

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// The arguments are RKE's, letter by letter: RKE 1.6 and 1.7, services/etcd.go.
func TestArgumentsOfTheNineCalls(t *testing.T) {
	const (
		program = "/opt/rke-tools/rke-etcd-backup etcd-backup "
		trio    = "--cacert /etc/kubernetes/ssl/kube-ca.pem --cert /etc/kubernetes/ssl/kube-node.pem --key /etc/kubernetes/ssl/kube-node-key.pem"
		bc      = "--creation=12h --retention=72h"
		s3      = "--s3-endpoint=minio:9000 --s3-bucketName=backups --s3-region= --s3-endpoint-ca=UEVN --s3-folder=cluster-a"
	)
	plain := Config{ExtraEnv: []string{"ETCD_BACKUP_LISTEN=127.0.0.1:9979"}}
	local := Config{Backup: &Backup{IntervalHours: 12, Retention: 6}}
	full := Config{ExtraEnv: plain.ExtraEnv, Backup: &Backup{IntervalHours: 12, Retention: 6, S3: &S3{
		Endpoint: "minio:9000", Bucket: "backups", Folder: "cluster-a", CA: "PEM", AccessKey: "access", SecretKey: "secret",
	}}}
	iam := Config{Backup: &Backup{S3: &S3{Endpoint: "s3.amazonaws.com", Bucket: "backups", Region: "eu-west-1"}}}
	env := "ETCD_BACKUP_LISTEN=127.0.0.1:9979"
	keys := " S3_ACCESS_KEY=" + base64.StdEncoding.EncodeToString([]byte("access")) +
		" S3_SECRET_KEY=" + base64.StdEncoding.EncodeToString([]byte("secret"))
	for _, c := range []struct {
		name, container string
		kubernetes      bool
		call            Call
		env, want       string
	}{
		{"rolling, no backup config", "etcd-rolling-snapshots", true, plain.Rolling("10.0.0.1"), env, "save " + trio +
			" --name etcd-rolling-snapshots --endpoints=10.0.0.1:2379 --retention=72h --creation=12h"},
		{"rolling", "etcd-rolling-snapshots", true, local.Rolling("10.0.0.1"), "", "save " + trio +
			" --name etcd-rolling-snapshots --endpoints=10.0.0.1:2379 " + bc},
		{"rolling to S3", "etcd-rolling-snapshots", true, full.Rolling("10.0.0.1"), env + keys, "save " + trio +
			" --name etcd-rolling-snapshots --endpoints=10.0.0.1:2379 " + bc + " --s3-backup=true " + s3},
		{"once, no backup config", "etcd-snapshot-once", true, plain.Once("n", "10.0.0.1"), env, "save " + trio +
			" --name n --endpoints=10.0.0.1:2379 --once"},
		{"once to S3", "etcd-snapshot-once", true, full.Once("n", "10.0.0.1"), env + keys, "save " + trio +
			" --name n --endpoints=10.0.0.1:2379 --once " + bc + " --s3-backup=true " + s3},
		{"remove", "etcd-remove-snapshot", false, local.Remove("n"), "", "delete --name n"},
		{"remove from S3", "etcd-remove-snapshot", false, full.Remove("n"), env + keys, "delete --name n --s3-backup " + s3},
		{"cleanup", "etcd-remove-snapshot", false, full.Cleanup("n"), env + keys, "delete --name n --cleanup --s3-backup " + s3},
		{"download from S3", "etcd-download-backup", true, full.DownloadFromS3("n"), env + keys, "download --name n --s3-backup=true " + s3},
		{
			"download from a peer", "etcd-download-backup", true, full.DownloadFromPeer("n", "10.0.0.1"), "",
			"download --name n --local-endpoint 10.0.0.1 " + trio,
		},
		{"serve", "etcd-Serve-backup", true, full.Serve("n"), "", "serve --name n " + trio},
		{"state file", "etcd-extract-statefile", false, full.ExtractStateFile("n"), env + keys, "extractstatefile --name n " + bc +
			" --s3-backup=true " + s3},
		{"IAM, disabled backup config", "etcd-snapshot-once", true, iam.Once("n", "10.0.0.1"), "", "save " + trio +
			" --name n --endpoints=10.0.0.1:2379 --once --creation=0h --retention=0h" +
			" --s3-backup=true --s3-endpoint=s3.amazonaws.com --s3-bucketName=backups --s3-region=eu-west-1"},
	} {
		if got, want := c.call.Args, strings.Fields(program+c.want); !slices.Equal(got, want) {
			t.Errorf("%s:\n%q, want\n%q", c.name, got, want)
		}
		if c.call.Container != c.container || c.call.Kubernetes != c.kubernetes || strings.Join(c.call.Env, " ") != c.env {
			t.Errorf("%s: container %s, /etc/kubernetes %t, environment %q", c.name, c.call.Container, c.call.Kubernetes, c.call.Env)
		}
	}
}
