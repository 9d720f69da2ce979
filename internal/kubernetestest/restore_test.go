//go:build kubernetes

package kubernetestest

import (
	"context"
	"net/http"
	"testing"
)

// etcdVersions are the release line that Kubernetes 1.36 comes with, and the next.
func etcdVersions() []string { return []string{"3.6", "3.7"} }

// With --kubernetes, nothing that a client remembers of the time after the snapshot survives the restore unnoticed.
func TestRestoreForKubernetes(t *testing.T) {
	for _, version := range etcdVersions() {
		t.Run("etcd "+version, func(t *testing.T) { restoreForKubernetes(t, newBed(t, version)) })
	}
}

func restoreForKubernetes(t *testing.T, b *bed) {
	saved, newest := b.live(t)
	b.restore(t, "--kubernetes")

	wantContents(t, b.contents(t), saved)
	for _, path := range resources() {
		l, err := b.list(t.Context(), path)
		must(t, err)
		t.Logf("%s: listed at version %s, before the restore the newest was %s", path, l.Metadata.ResourceVersion, newest)
		if l.Metadata.ResourceVersion <= newest {
			t.Errorf("%s: listed at version %s, not after %s", path, l.Metadata.ResourceVersion, newest)
		}
		b.wantGone(t, path, newest)
	}
	b.wantInformersAnew(t)
	b.wantConflict(t)
	b.wantWrites(t, newest)
}

// Without it versions go backwards, and an informer never learns what happened. Were it not so, the test above would prove
// nothing.
func TestRestoreForOthers(t *testing.T) {
	b := newBed(t, etcdVersions()[0])
	saved, newest := b.live(t)
	b.restore(t)

	wantContents(t, b.contents(t), saved)
	l, err := b.list(t.Context(), configMaps)
	must(t, err)
	t.Logf("listed at version %s, before the restore the newest was %s", l.Metadata.ResourceVersion, newest)
	if l.Metadata.ResourceVersion >= newest {
		t.Errorf("listed at version %s, not before %s", l.Metadata.ResourceVersion, newest)
	}
	i := b.watching[configMaps]
	eventually(t, "the informer watches again", func() bool { return i.look().watches > 1 })
	name := b.writeOne(t, configMaps, l.Metadata.ResourceVersion)
	s := i.look()
	if _, ok := s.objects[name]; ok || s.expired > 0 || s.lists > 1 || same(s.objects, saved[configMaps]) {
		t.Errorf("the informer noticed: %d lists, %d times expired, knows %d objects", s.lists, s.expired, len(s.objects))
	}
}

// writeOne writes one more object and returns its name when a watch from the given version has told of it.
func (b *bed) writeOne(t *testing.T, path string, from version) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), requestLimit)
	defer cancel()
	w, err := b.watch(ctx, path, from)
	must(t, err)
	defer w.body.Close()
	o, err := b.write(t.Context(), http.MethodPost, path, &object{Metadata: metadata{Name: "one-more"}})
	must(t, err)
	for {
		got, err := w.next()
		must(t, err)
		if got.Object.Metadata.Name == o.Metadata.Name {
			return o.Metadata.Name
		}
	}
}

// live writes the objects, takes a snapshot and goes on: half of the objects is deleted, one changed, others are written.
// It returns what the snapshot holds, and the highest version that any client saw afterwards.
func (b *bed) live(t *testing.T) (saved map[string]map[string]object, newest version) {
	t.Helper()
	b.create(t, 0, objects, map[string]string{"age": "b2xk"})
	b.informersKnow(t)
	saved = b.contents(t)
	b.save(t)
	b.remove(t, 0, objects/2)
	b.create(t, objects, objects+100, nil)
	path, name := place(objects - 1)
	changed, err := b.write(t.Context(), http.MethodPut, path+"/"+name,
		&object{Metadata: metadata{Name: name}, Data: map[string]string{"age": "bmV3"}})
	must(t, err)
	b.informersKnow(t)
	b.changed = changed
	return saved, version(b.highest.Load())
}
