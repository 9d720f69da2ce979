//go:build kubernetes

package kubernetestest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"
)

// retryEvery is how long an informer waits before it asks a server again that is down.
const retryEvery = 50 * time.Millisecond

// informer keeps a copy of a resource as Kubernetes' own controllers do: one list, then watches from where the last one ended,
// and a new list only when the API says that this is too long ago.
type informer struct {
	client *client
	path   string

	mu    sync.Mutex
	state informed
}

// informed is what an informer knows, and what happened to it.
type informed struct {
	objects  map[string]object // by name
	version  version           // up to which it knows all
	listed   bool              // a watch may go on from there, no list is due
	lists    int
	watches  int      // opened
	ended    int      // of those, with or without an error
	expired  int      // answers 410 Gone
	backward []string // versions lower than one before
}

// runInformer starts one that lives as long as the test and returns when it watches.
func runInformer(t *testing.T, c *client, path string) *informer {
	t.Helper()
	i := &informer{client: c, path: path}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		i.run(ctx)
	}()
	eventually(t, "the informer watches "+path, func() bool { return i.look().watches > 0 })
	return i
}

// look returns a copy of what the informer knows.
func (i *informer) look() informed {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.state
	s.objects = maps.Clone(s.objects)
	return s
}

func (i *informer) run(ctx context.Context) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		err := i.refresh(ctx)
		if answered(err, http.StatusGone) {
			i.change(func(s *informed) { s.expired++; s.listed = false })
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// refresh lists when that is due, and then follows a watch to its end.
func (i *informer) refresh(ctx context.Context) error {
	if !i.look().listed {
		l, err := i.client.list(ctx, i.path)
		if err != nil {
			return err
		}
		i.change(func(s *informed) { s.replace(l) })
	}
	w, err := i.client.watch(ctx, i.path, i.look().version)
	if err != nil {
		return err
	}
	defer w.body.Close()
	i.change(func(s *informed) { s.watches++ })
	defer i.change(func(s *informed) { s.ended++ })
	for {
		got, err := w.next()
		if err != nil {
			return err
		}
		i.client.saw(got.Object.Metadata.ResourceVersion)
		i.change(func(s *informed) { s.apply(got) })
	}
}

func (i *informer) change(f func(s *informed)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.state)
}

func (s *informed) replace(l objectList) {
	s.lists++
	s.listed = true
	s.objects = map[string]object{}
	for _, o := range l.Items {
		s.objects[o.Metadata.Name] = o
	}
	s.advance(l.Metadata.ResourceVersion)
}

func (s *informed) apply(c change) {
	switch c.Type {
	case "ADDED", "MODIFIED":
		s.objects[c.Object.Metadata.Name] = c.Object
	case "DELETED":
		delete(s.objects, c.Object.Metadata.Name)
	}
	s.advance(c.Object.Metadata.ResourceVersion)
}

func (s *informed) advance(v version) {
	if v < s.version {
		s.backward = append(s.backward, fmt.Sprintf("%s after %s", v, s.version))
	}
	s.version = v
}
