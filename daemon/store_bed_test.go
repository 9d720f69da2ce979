package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"etcd-rolling-backup/snapshot"
)

// memStore is a daemon.Store that fails on demand. Its methods may be called from any goroutine.
type memStore struct {
	mu        sync.Mutex
	entries   []snapshot.Entry
	broken    []snapshot.Entry
	partials  []string
	manifests map[snapshot.Name]snapshot.Manifest // those that differ from the usual one
	read      int                                 // how many manifests were read
	removed   []string
	second    []string // of which archives were read again
	verified  []string // of which checksums were compared

	listErr, partialErr    error
	removeErr, manifestErr map[string]error          // by name
	verifyErr              map[string]error          // by name
	readAgain              func(snapshot.Name) error // nil: each archive is still damaged
}

func (s *memStore) add(e ...snapshot.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, e...)
}

// put adds a snapshot with its manifest.
func (s *memStore) put(t snapshot.Taken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, t.Entry)
	s.manifests[t.Name] = t.Manifest
}

// fail makes each listing fail with an error, or none.
func (s *memStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listErr = err
}

// names are those of the snapshots, newest first.
func (s *memStore) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return namesOf(s.entries)
}

func (s *memStore) brokenNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return namesOf(s.broken)
}

func (s *memStore) readAgainNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.second)
}

func namesOf(entries []snapshot.Entry) []string {
	slices.SortFunc(entries, snapshot.NewestFirst)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name.String())
	}
	return out
}

// List implements daemon.Store.
func (s *memStore) List() (snapshot.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.entries, snapshot.NewestFirst)
	return snapshot.Listing{Snapshots: slices.Clone(s.entries), Broken: slices.Clone(s.broken)}, s.listErr
}

// Remove implements daemon.Store.
func (s *memStore) Remove(ctx context.Context, n snapshot.Name) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.removeErr[n.String()]); err != nil {
		return err
	}
	var err error
	if s.entries, err = without(s.entries, n); err == nil {
		s.removed = append(s.removed, n.String())
	}
	return err
}

// RemoveBroken implements daemon.Store.
func (s *memStore) RemoveBroken(_ context.Context, n snapshot.Name) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, err = without(s.broken, n)
	return err
}

func without(entries []snapshot.Entry, n snapshot.Name) ([]snapshot.Entry, error) {
	rest := slices.DeleteFunc(slices.Clone(entries), func(e snapshot.Entry) bool { return e.Name == n })
	if len(rest) == len(entries) {
		return rest, snapshot.ErrNotFound
	}
	return rest, nil
}

// Manifest implements daemon.Store; all are alike but those that were put.
func (s *memStore) Manifest(n snapshot.Name) (snapshot.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	if err := s.manifestErr[n.String()]; err != nil {
		return snapshot.Manifest{}, err
	}
	if _, err := without(s.entries, n); err != nil {
		return snapshot.Manifest{}, err
	}
	if m, ok := s.manifests[n]; ok {
		return m, nil
	}
	return snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{ClusterID: cluster, Revision: 42, Healthy: true}}, nil
}

// VerifyChecksum implements daemon.Store.
func (s *memStore) VerifyChecksum(_ context.Context, n snapshot.Name, progress func(done, total int64)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verified = append(s.verified, n.String())
	progress(1, 2)
	return s.verifyErr[n.String()]
}

// Quarantine implements daemon.Store.
func (s *memStore) Quarantine(_ context.Context, n snapshot.Name) (broken bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.second = append(s.second, n.String())
	i := slices.IndexFunc(s.entries, func(e snapshot.Entry) bool { return e.Name == n })
	if i < 0 {
		return false, snapshot.ErrNotFound
	}
	if s.readAgain != nil {
		if err := s.readAgain(n); !errors.Is(err, snapshot.ErrDamaged) {
			return false, err
		}
	}
	s.broken = append(s.broken, s.entries[i])
	s.entries = slices.Delete(s.entries, i, i+1)
	return true, nil
}

// RemovePartials implements daemon.Store.
func (s *memStore) RemovePartials(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.partials
	s.partials = nil
	return gone, errors.Join(ctx.Err(), s.partialErr)
}

// memNotes is a status.Notes in memory.
type memNotes struct {
	mu     sync.Mutex
	files  map[string][]byte
	frozen bool
	err    error // of all that is to be kept
}

// freeze makes all that is kept be lost, as by a process that has crashed.
func (n *memNotes) freeze(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = on
}

// ReadNote implements status.Notes.
func (n *memNotes) ReadNote(name string, v any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if data, ok := n.files[name]; ok {
		return json.Unmarshal(data, v)
	}
	return nil
}

// KeepNote implements status.Notes.
func (n *memNotes) KeepNote(name string, v any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen || n.err != nil {
		return n.err
	}
	data, err := json.Marshal(v)
	n.files[name] = data
	return err
}

// RemoveNote implements status.Notes.
func (n *memNotes) RemoveNote(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.frozen {
		delete(n.files, name)
	}
	return nil
}
