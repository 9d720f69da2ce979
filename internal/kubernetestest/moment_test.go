//go:build kubernetes

package kubernetestest

import (
	"context"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/internal/proctest"
)

// Objects are created, changed and deleted in a known order, while the daemon keeps a journal. The cluster goes back to a moment between two of
// these, and has exactly the objects of that moment; watches and informers notice.
func TestRestoreAtAMomentForKubernetes(t *testing.T) {
	for _, version := range etcdVersions() {
		t.Run("etcd "+version, func(t *testing.T) { restoreAtAMoment(t, newBed(t, version)) })
	}
}

func restoreAtAMoment(t *testing.T, b *bed) {
	b.create(t, 0, objects, map[string]string{"age": "b2xk"})
	stop := b.journal(t)
	b.create(t, objects, objects+10, nil)
	path, name := place(objects - 1)
	put := func(age string) {
		changed, err := b.write(t.Context(), http.MethodPut, path+"/"+name, &object{Metadata: metadata{Name: name}, Data: map[string]string{"age": age}})
		must(t, err)
		b.changed = changed
	}
	put("bmV3")
	b.remove(t, 0, 10) // as many as were created
	b.informersKnow(t)
	wanted := b.contents(t)
	moment := b.journaled(t)
	// The mistake, and what comes after it.
	b.remove(t, 10, objects/2)
	put("d3Jvbmc=")
	b.create(t, objects+10, objects+100, nil)
	b.informersKnow(t)
	b.journaled(t)
	newest := version(b.highest.Load())
	stop()
	b.restore(t, "--kubernetes", "--at="+moment.Format(time.RFC3339Nano))

	wantContents(t, b.contents(t), wanted)
	for _, path := range resources() {
		l, err := b.list(t.Context(), path)
		must(t, err)
		if l.Metadata.ResourceVersion <= newest {
			t.Errorf("%s: listed at version %s, not after %s", path, l.Metadata.ResourceVersion, newest)
		}
		b.wantGone(t, path, newest)
	}
	b.wantInformersAnew(t)
	b.wantConflict(t)
	b.wantWrites(t, newest)
}

// journal starts a daemon with a journal, and returns when its first snapshot is there. stop ends it.
func (b *bed) journal(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, b.program, "daemon", "--journal", "--schedule=@every 1h", "--drill-schedule=off", "--listen=off", "--dir="+b.store, "--min-free=0",
		"--endpoints="+b.etcd.Members[0].Endpoint, "--cacert="+b.etcd.PKI.CACert, "--cert="+b.etcd.PKI.Client.Cert, "--key="+b.etcd.PKI.Client.Key)
	cmd.Env = append(proctest.Environ("ETCD"), "ETCD_BACKUP_CONFIG=/dev/null")
	must(t, cmd.Start())
	stop = func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(stop)
	b.journaled(t)
	return stop
}

// journaled returns a moment at which the journal has all that the cluster has.
func (b *bed) journaled(t *testing.T) time.Time {
	t.Helper()
	client := etcdtest.Dial(t, b.etcd)
	r, err := client.Get(t.Context(), "/registry/")
	must(t, err)
	eventually(t, "the journal has it", func() bool { return journaltest.Revision(t, b.store) >= r.Header.Revision })
	return time.Now()
}
