package rketest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/s3test"
)

// flow plays what RKE does with three nodes.
type flow struct {
	*Cluster
	config Config
	minio  s3test.Target
	bucket string
}

// newFlow starts etcd on the nodes. With a config that names S3, it uses that server and a bucket of its own.
func newFlow(t *testing.T, c *Cluster, config Config, server *s3test.Server) *flow {
	t.Helper()
	f := &flow{Cluster: c, config: config}
	if config.s3("") != nil {
		ca, err := os.ReadFile(server.CAFile)
		must(t, err)
		f.minio, f.bucket = server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{})
		s3 := config.Backup.S3
		s3.Endpoint, s3.Bucket, s3.CA, s3.AccessKey, s3.SecretKey = server.Endpoint(), f.bucket, string(ca), server.AccessKey, server.SecretKey
	}
	f.StartEtcd(t)
	return f
}

// key is that of the object that holds the archive of a snapshot.
func (f *flow) key(name string) string {
	return strings.TrimPrefix(f.config.Backup.S3.Folder+"/"+name+".zip", "/")
}

// objects are the keys in the bucket.
func (f *flow) objects(t *testing.T) []string {
	t.Helper()
	if f.bucket == "" {
		return nil
	}
	var keys []string
	for object := range s3test.Dial(t, f.minio).ListObjectsIter(t.Context(), f.bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, object.Err)
		keys = append(keys, object.Key)
	}
	return keys
}

// put writes a value under a key that is counted afterwards.
func (f *flow) put(t *testing.T, keys ...string) {
	t.Helper()
	client := f.Client(t)
	for _, key := range keys {
		_, err := client.Put(t.Context(), "/registry/"+key, strings.Repeat(key, 1000))
		must(t, err)
	}
}

func (f *flow) keys(t *testing.T) int64 {
	t.Helper()
	r, err := f.Client(t).Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return r.Count
}

// equal demands that the unpacked snapshot is on all nodes and the same, as RKE does before it restores.
func (f *flow) equal(t *testing.T, name string) {
	t.Helper()
	want := f.Nodes[0].Checksum(t, name)
	for _, n := range f.Nodes {
		if got := n.Checksum(t, name); len(got) != 32 || got != want {
			t.Fatalf("md5 of %s on %s is %q, on %s %q; files %s", name, n.Hostname, got, f.Nodes[0].Hostname, want, n.Files(t))
		}
	}
}

// restore builds etcd's data on every node, removes what was unpacked for it, and starts etcd. The zips stay where they are, and the object.
func (f *flow) restore(t *testing.T, name string) {
	t.Helper()
	before := f.objects(t)
	for _, n := range f.Nodes {
		n.Wipe(t, "/var/lib/etcd")
		n.Restore(t, name)
		n.Run(t, 0, f.config.Cleanup(name))
		// What a peer has sent is the node's only copy, and stays.
		if got := n.Files(t); slices.Contains(got, name) == slices.Contains(got, name+".zip") {
			t.Errorf("%s: files after the cleanup: %s, want one of %s and its zip", n.Hostname, got, name)
		}
	}
	if after := f.objects(t); !slices.Equal(after, before) {
		t.Errorf("objects after the cleanup: %s, before: %s", after, before)
	}
	f.StartEtcd(t)
	if got := f.keys(t); got != 2 {
		t.Errorf("%d keys after the restore, want 2", got)
	}
}

// play saves, restores from the nodes and from S3, and removes.
func (f *flow) play(t *testing.T, name string) {
	t.Helper()
	state := State("cluster-a")
	f.put(t, "a", "b")
	f.rolling(t)
	f.once(t, name, state)
	f.put(t, "later")
	f.StopEtcd(t)
	f.extracts(t, name, state)
	f.peers(t, name)
	f.restore(t, name)
	if f.bucket != "" {
		f.put(t, "later")
		f.StopEtcd(t)
		for _, n := range f.Nodes {
			n.Wipe(t, "/opt/rke/etcd-snapshots")
			n.Run(t, 0, f.config.DownloadFromS3(name))
		}
		f.equal(t, name)
		f.extracts(t, name, state)
		f.restore(t, name)
	}
	f.remove(t, name)
}

// once takes the snapshot on each node, with the state file that RKE has put there.
func (f *flow) once(t *testing.T, name string, state []byte) {
	t.Helper()
	for _, n := range f.Nodes {
		must(t, os.WriteFile(n.Path("/etc/kubernetes/"+name+".rkestate"), state, 0o400))
		n.Run(t, 0, f.config.Once(name, n.IP))
		if got := n.Files(t); !slices.Contains(got, name+".zip") || slices.Contains(got, name) {
			t.Fatalf("files on %s after once: %s", n.Hostname, got)
		}
	}
	if f.bucket != "" && !slices.Contains(f.objects(t), f.key(name)) {
		t.Fatalf("objects after once: %s", f.objects(t))
	}
}

// extracts lets the first node extract the state file, which RKE then copies out of the stopped container.
func (f *flow) extracts(t *testing.T, name string, state []byte) {
	t.Helper()
	n := f.Nodes[0]
	n.Wipe(t, "/tmp")
	n.Run(t, 0, f.config.ExtractStateFile(name))
	if got, err := os.ReadFile(n.Path(StateFile)); err != nil || !bytes.Equal(got, state) {
		t.Errorf("extracted state file %q, %v", got, err)
	}
}

// peers lets the first node serve the snapshot to the others, which are new and have nothing.
func (f *flow) peers(t *testing.T, name string) {
	t.Helper()
	serve := f.serves(t, name)
	for _, n := range f.Nodes[1:] {
		n.Wipe(t, "/opt/rke/etcd-snapshots")
		n.Run(t, 0, f.config.DownloadFromPeer(name, f.Nodes[0].IP))
	}
	f.equal(t, name)
	serve.Stop(t) // RKE kills it; a `docker stop` must end it too
}

// serves starts the server on the first node, and returns when it listens and has unpacked the snapshot, for which RKE waits 5 seconds.
func (f *flow) serves(t *testing.T, name string) *Process {
	t.Helper()
	server := f.Nodes[0]
	serve := server.Start(t, f.config.Serve(name))
	eventually(t, "the server listened", func() bool {
		if !serve.Running() {
			t.Fatalf("serve exited, status %d:\n%s", serve.Wait(t), serve.Output())
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.IP+":2379")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	eventually(t, "the snapshot was unpacked", func() bool { return serve.Running() && server.Checksum(t, name) != "" })
	return serve
}

// remove is Rancher's deletion on every node: from the second on, there is no object.
func (f *flow) remove(t *testing.T, name string) {
	t.Helper()
	for range 2 { // and once more, with nothing left
		for _, n := range f.Nodes {
			n.Run(t, 0, f.config.Remove(name))
			if got := n.Files(t); slices.Contains(got, name+".zip") || slices.Contains(got, name) {
				t.Errorf("files on %s after remove: %s", n.Hostname, got)
			}
		}
	}
	if f.bucket != "" && slices.Contains(f.objects(t), f.key(name)) {
		t.Errorf("objects after remove: %s", f.objects(t))
	}
}

// rolling runs the rolling container on each node until it has its first snapshot in both places.
func (f *flow) rolling(t *testing.T) {
	t.Helper()
	for _, n := range f.Nodes {
		n.GiveKubectl(t, State("cluster-a"))
		p := n.Start(t, f.config.Rolling(n.IP))
		var file string
		eventually(t, "a rolling snapshot was where it belongs", func() bool {
			if !p.Running() {
				t.Fatalf("rolling exited, status %d:\n%s", p.Wait(t), p.Output())
			}
			files := n.Files(t)
			i := slices.IndexFunc(files, regexp.MustCompile(`^[0-9TZ:-]+_etcd\.zip$`).MatchString)
			if i >= 0 {
				file = files[i]
			}
			return i >= 0 && (f.bucket == "" || slices.Contains(f.objects(t), f.key(strings.TrimSuffix(file, ".zip"))))
		})
		if status := p.Stop(t); status != 0 {
			t.Errorf("rolling on %s: exit status %d after docker stop:\n%s", n.Hostname, status, p.Output())
		}
		if strings.Contains(p.Output(), "goroutine ") {
			t.Errorf("rolling on %s printed its goroutines", n.Hostname)
		}
		info, err := os.Stat(filepath.Join(n.Snapshots(""), file))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", file, info.Mode())
		}
	}
}
