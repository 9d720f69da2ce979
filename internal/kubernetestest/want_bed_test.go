//go:build kubernetes

package kubernetestest

import (
	"context"
	"net/http"
	"testing"
)

// wantContents demands the objects of the snapshot, with the contents and versions of then, and no other.
func wantContents(t *testing.T, got, want map[string]map[string]object) {
	t.Helper()
	count := 0
	for path := range want {
		count += len(got[path])
		if !same(got[path], want[path]) {
			t.Errorf("%s: %d objects that are not the %d of the snapshot", path, len(got[path]), len(want[path]))
		}
	}
	if count != objects {
		t.Errorf("%d objects after the restore, want %d", count, objects)
	}
}

// wantGone demands that the API refuses to go on from before the restore, with a watch or a list.
func (b *bed) wantGone(t *testing.T, path string, before version) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), requestLimit) // where nothing is refused, nothing may come
	defer cancel()
	w, err := b.watch(ctx, path, before)
	if err == nil {
		defer w.body.Close()
		_, err = w.next()
	}
	if t.Logf("a watch from version %s: %v", before, err); !answered(err, http.StatusGone) {
		t.Errorf("%s: a watch from version %s was not answered with 410", path, before)
	}
	err = b.do(t.Context(), http.MethodGet, path+"?resourceVersionMatch=Exact&resourceVersion="+before.String(), nil, nil)
	if t.Logf("a list at version %s: %v", before, err); !answered(err, http.StatusGone) {
		t.Errorf("%s: a list at version %s was not answered with 410", path, before)
	}
}

// wantInformersAnew demands that the watches from before the restore have ended, and that each informer was told to list
// again and knows now what there is.
func (b *bed) wantInformersAnew(t *testing.T) {
	t.Helper()
	b.informersKnow(t)
	for path, i := range b.watching {
		s := i.look()
		if s.ended == 0 || s.expired == 0 || s.lists < 2 || len(s.backward) > 0 {
			t.Errorf("%s: %d watches ended, %d answers 410, %d lists, versions that went backwards: %v",
				path, s.ended, s.expired, s.lists, s.backward)
		}
	}
}

// wantConflict demands that nobody can replace an object on the ground of what he saw after the snapshot.
func (b *bed) wantConflict(t *testing.T) {
	t.Helper()
	path, name := place(objects - 1)
	_, err := b.write(t.Context(), http.MethodPut, path+"/"+name, &b.changed)
	if !answered(err, http.StatusConflict) {
		t.Errorf("replace an object as it was after the snapshot: %v, want 409", err)
	}
}

// wantWrites demands that new objects are taken, with versions above all before, and that the informers learn of them.
func (b *bed) wantWrites(t *testing.T, before version) {
	t.Helper()
	for n := 2 * objects; n < 2*objects+20; n++ {
		path, name := place(n)
		got, err := b.write(t.Context(), http.MethodPost, path, &object{Metadata: metadata{Name: name}})
		must(t, err)
		if got.Metadata.ResourceVersion <= before {
			t.Errorf("%s was written at version %s, not after %s", name, got.Metadata.ResourceVersion, before)
		}
		before = got.Metadata.ResourceVersion
	}
	b.informersKnow(t)
}
