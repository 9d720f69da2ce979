package kubernetes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// Each manifest's container, with the manifest's rights and files, takes a snapshot of an etcd with kubeadm's certificates, restores it as
// a test, is healthy by its own probes, and exits when it is asked to.
func TestPodsTakeSnapshots(t *testing.T) {
	built := build(t)
	t.Run("static pod", func(t *testing.T) {
		n := newNode(t, built)
		n.write(t, settings+"config.yaml", read(t, "static-pod/config.yaml"), 0o600)
		n.works(t, decoded(t, staticPod), nil)
	})
	t.Run("daemon set", func(t *testing.T) {
		newNode(t, built).works(t, decoded(t, "base"), nil)
	})
	t.Run("daemon set with a pod monitor", func(t *testing.T) {
		newNode(t, built).works(t, decoded(t, "overlays/prometheus"), nil)
	})
}

// works runs the container, and returns after it has stopped.
func (n *node) works(t *testing.T, objects []object, secrets map[string]map[string]string, overrides ...string) {
	t.Helper()
	s := n.run(t, objects, secrets, overrides...)
	n.succeeded(t, "snapshot")
	n.succeeded(t, "drill")
	if overrides != nil {
		n.succeeded(t, "mirror")
	}
	spec, _ := pod(t, objects)
	c := spec.Containers[0]
	for _, path := range []string{c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path} {
		if _, err := n.get(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
	if kept := n.snapshots(t); len(kept) == 0 || kept[0].Name.Node != nodeName {
		t.Errorf("snapshots %+v", kept)
	}
	must(t, s.Stop())
}

// The bucket's address is MinIO's, all else is the manifests', with their examples.
func TestPodsMirrorToS3(t *testing.T) {
	built := build(t)
	t.Run("static pod", func(t *testing.T) {
		n, bucket := newNode(t, built), runBucket(t)
		config := regexp.MustCompile(`(?m)^# (s3-)`).ReplaceAllString(read(t, "static-pod/config.yaml"), "$1")
		n.write(t, settings+"config.yaml", config, 0o600)
		for name, text := range bucket.keys() {
			n.write(t, settings+name, text, 0o600)
		}
		n.works(t, decoded(t, staticPod), nil, bucket.address())
		bucket.hasSnapshot(t)
	})
	t.Run("daemon set", func(t *testing.T) {
		n, bucket := newNode(t, built), runBucket(t)
		secrets := map[string]map[string]string{"etcd-rolling-backup-s3": bucket.keys()}
		n.works(t, decoded(t, "overlays/s3"), secrets, bucket.address())
		bucket.hasSnapshot(t)
	})
}

// bucket is the one of the examples, in a MinIO of its own.
type bucket struct{ *s3test.Server }

func runBucket(t *testing.T) bucket {
	t.Helper()
	b := bucket{s3test.Run(t, s3test.Options{})}
	must(t, b.MakeBucket(t.Context(), "backups", s3test.BucketOptions{}))
	return b
}

func (b bucket) address() string { return "ETCD_BACKUP_S3_ENDPOINT=" + b.URL() }

func (b bucket) keys() map[string]string {
	return map[string]string{"access-key": b.AccessKey, "secret-key": b.SecretKey + "\n"}
}

func (b bucket) hasSnapshot(t *testing.T) {
	t.Helper()
	all := minio.ListObjectsOptions{Prefix: "cluster-1/rolling_" + nodeName + "_", Recursive: true}
	for o := range s3test.Dial(t, b.Target).ListObjects(t.Context(), "backups", all) {
		must(t, o.Err)
		return
	}
	t.Error("no snapshot is in the bucket")
}

// A container without its settings must not run with defaults: it exits, and names the file.
func TestPodWithoutItsConfigExits(t *testing.T) {
	n := newNode(t, build(t))
	must(t, os.MkdirAll(n.root+settings, 0o700))
	s := n.container(t, decoded(t, staticPod), nil)
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), settings+"config.yaml: no such file") {
		t.Error(err)
	}
}

// kubeadm renews a certificate in the same file, which the container has mounted.
func TestPodUsesRenewedCertificate(t *testing.T) {
	n := newNode(t, build(t))
	cert, key := read(t, n.root+pki+"healthcheck-client.crt"), read(t, n.root+pki+"healthcheck-client.key")
	expired, err := n.etcd.PKI.IssueExpired()
	must(t, err)
	n.write(t, pki+"healthcheck-client.crt", read(t, expired.Cert), 0o644)
	n.write(t, pki+"healthcheck-client.key", read(t, expired.Key), 0o600)
	s := n.run(t, decoded(t, "base"), nil)
	says(t, s, "expired")
	n.write(t, pki+"healthcheck-client.crt", cert, 0o644)
	n.write(t, pki+"healthcheck-client.key", key, 0o600)
	n.succeeded(t, "snapshot")
}

// Without any capability, root reads only root's keys. README.md has the patch for others.
func TestPodReadsAKeyOfAnotherUserByTheCapability(t *testing.T) {
	n := newNode(t, build(t))
	must(t, os.Chown(n.root+pki+"healthcheck-client.key", 1000, 1000))
	s := n.run(t, decoded(t, "base"), nil)
	says(t, s, pki+"healthcheck-client.key: permission denied")
	must(t, s.Stop())

	dir := kustomization(t)
	text := "resources: [packaging/kubernetes/base]\n" + block(t, "What the pod may do", "yaml", 0)
	must(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	n.works(t, decoded(t, dir), nil)
}

// After the loss of a cluster, the node has all that a restore needs: the program, copied out of the container, and the snapshots.
func TestRestoreOnTheNode(t *testing.T) {
	n := newNode(t, build(t))
	s := n.run(t, decoded(t, "base"), nil, "ETCD_BACKUP_SCHEDULE=@every 1000h")
	n.succeeded(t, "snapshot")
	client := etcdtest.Dial(t, n.etcd)
	_, err := client.Put(t.Context(), "/registry/minions/"+nodeName, "after")
	must(t, err)

	member := n.etcd.Members[0]
	n.sh(t, s, "Restore", 0)
	must(t, member.Stop())
	out := n.sh(t, s, "Restore", 1, "/var/lib/etcd-rolling-backup", n.root+store, "--name node-a", "--name "+member.Name+" --data-dir "+member.DataDir)
	if !strings.Contains(out, "restored "+member.DataDir) {
		t.Error(out)
	}
	must(t, n.etcd.Restart(t.Context()))
	got, err := client.Get(t.Context(), "/registry/minions/"+nodeName)
	must(t, err)
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "before" {
		t.Errorf("%v", got.Kvs)
	}
	if s.PID() == 0 {
		t.Error("the daemon has exited")
	}
}
