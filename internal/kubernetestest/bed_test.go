//go:build kubernetes

package kubernetestest

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

const (
	objects = 1000 // half of them ConfigMaps, half Secrets

	namespaces = "/api/v1/namespaces"
	configMaps = namespaces + "/restored/configmaps"
	secrets    = namespaces + "/restored/secrets"
)

// bed is a control plane of etcd and API server, with the snapshots of the program under test beside it.
type bed struct {
	*apiServer
	etcd     *etcdtest.Cluster
	program  string
	store    string
	watching map[string]*informer // by path, of each resource
	changed  object               // the last one, as it was after the snapshot
}

func newBed(t *testing.T, etcdVersion string) *bed {
	t.Helper()
	program, err := proctest.Program("etcd-rolling-backup")
	must(t, err)
	etcd := etcdtest.Run(t, etcdtest.Options{Version: etcdVersion, TLS: true, UnsafeNoFsync: true})
	b := &bed{
		apiServer: runAPIServer(t, etcd), etcd: etcd, program: program, store: filepath.Join(t.TempDir(), "store"),
		watching: map[string]*informer{},
	}
	_, err = b.write(t.Context(), http.MethodPost, namespaces, &object{Metadata: metadata{Name: "restored"}})
	must(t, err)
	for _, path := range resources() {
		b.watching[path] = runInformer(t, b.client, path)
	}
	return b
}

func resources() []string { return []string{configMaps, secrets} }

// place is where the n-th object lies: its resource and its name.
func place(n int) (path, name string) {
	return resources()[n%len(resources())], fmt.Sprintf("object-%04d", n)
}

// create writes the objects from one number up to another, all with the same contents.
func (b *bed) create(t *testing.T, from, to int, data map[string]string) {
	t.Helper()
	parallel(t, from, to, func(ctx context.Context, n int) error {
		path, name := place(n)
		_, err := b.write(ctx, http.MethodPost, path, &object{Metadata: metadata{Name: name}, Data: data})
		return err
	})
}

// remove deletes the objects from one number up to another.
func (b *bed) remove(t *testing.T, from, to int) {
	t.Helper()
	parallel(t, from, to, func(ctx context.Context, n int) error {
		path, name := place(n)
		_, err := b.write(ctx, http.MethodDelete, path+"/"+name, nil)
		return err
	})
}

// informersKnow waits until every informer has what the API lists.
func (b *bed) informersKnow(t *testing.T) {
	t.Helper()
	for path, want := range b.contents(t) {
		eventually(t, "the informer knows all of "+path, func() bool { return same(b.watching[path].look().objects, want) })
	}
}

// contents lists every resource, by path and name.
func (b *bed) contents(t *testing.T) map[string]map[string]object {
	t.Helper()
	all := map[string]map[string]object{}
	for _, path := range resources() {
		l, err := b.list(t.Context(), path)
		must(t, err)
		var s informed
		s.replace(l)
		all[path] = s.objects
	}
	return all
}

// save takes a snapshot, restore brings the newest one back into etcd's directory, as a kubeadm cluster would do it.
func (b *bed) save(t *testing.T) {
	t.Helper()
	b.run(t, "save", "--dir="+b.store, "--min-free=0", "--endpoints="+b.etcd.Members[0].Endpoint,
		"--cacert="+b.etcd.PKI.CACert, "--cert="+b.etcd.PKI.Client.Cert, "--key="+b.etcd.PKI.Client.Key)
}

func (b *bed) restore(t *testing.T, flags ...string) {
	t.Helper()
	member := b.etcd.Members[0]
	must(t, b.Stop()) // before etcd, without which it hangs
	must(t, member.Stop())
	b.run(t, append([]string{"restore", "--dir=" + b.store, "--data-dir=" + member.DataDir, "--replace"}, flags...)...)
	must(t, b.etcd.Restart(t.Context()))
	must(t, b.boot(t))
}

// run demands that the program under test succeeds.
func (b *bed) run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.program, args...)
	cmd.Env = append(proctest.Environ("ETCD"), "ETCD_BACKUP_CONFIG=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	t.Logf("%s\n%s", args[0], out)
}
