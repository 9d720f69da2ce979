package source

import (
	"context"
	"path/filepath"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// Alternative is a snapshot to use instead of a damaged one.
type Alternative struct {
	Name      snapshot.Name
	Copy      bool         // of the damaged snapshot itself; otherwise an older one
	Place     config.Place // Local or S3
	Where     string       // for people
	Age       string       // for people: 3 hours old
	Arguments []string     // of verify, restore and serve: the name, and --from if it is needed
}

// Instead finds what to use instead of a snapshot that was found damaged in a place: a copy of it elsewhere, otherwise the next older
// one of the same cluster, or one of another program, which does not say its cluster. A local one was read and is intact; of one in the
// bucket the end is. ok is false if there is none, or if the places do not answer soon. Request's Dir, Bucket and Reference count.
func (r Request) Instead(ctx context.Context, damaged snapshot.Name, in config.Place) (a Alternative, ok bool) {
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	dir := r.Dir
	if r.isPath() {
		dir = filepath.Dir(r.Reference)
	}
	all, _ := List(limited, dir, r.Bucket)
	defer closeAll(all)
	last := until(all, damaged)
	read, _ := manifests(limited, all, damaged, func(n snapshot.Name) bool { return n == damaged || !n.Time.IsZero() && !n.Time.After(last) })
	histories := clusters(all, read, snapshot.NewDir(r.Dir))
	own, known := snapshot.Life{}, false // unknown if the manifest is damaged too
	for _, l := range all {
		if e, has := l.entry(damaged); has && !known {
			own, known = clusterOf(histories, read[of(e)])
		}
	}
	for _, e := range merged(all).Snapshots {
		for _, l := range all {
			e, has := l.entry(e.Name)
			isCopy := e.Name == damaged
			m, wasRead := read[of(e)]
			if !has || !wasRead || isCopy && (l.Place == in || in == config.Anywhere && l.Place == config.Local) {
				continue
			}
			c, itsKnown := clusterOf(histories, m)
			unknown := m.Format != "" && !isCopy && !known && len(histories) > 1
			stranger := known && itsKnown && !own.Continues(c)
			if !unknown && !stranger && l.intact(ctx, e.Name) == nil {
				return r.alternative(e, isCopy, l), true
			}
		}
	}
	return a, false
}

// until is when the damaged snapshot was taken, as far as is known.
func until(all []Listing, damaged snapshot.Name) time.Time {
	for _, l := range all {
		if e, has := l.entry(damaged); has {
			return e.Taken()
		}
	}
	return damaged.Time
}

func (r Request) alternative(e snapshot.Entry, isCopy bool, l Listing) Alternative {
	n := e.Name
	a := Alternative{Name: n, Copy: isCopy, Place: l.Place, Where: l.Where, Age: old(e.Taken(), time.Now()), Arguments: []string{n.String()}}
	switch {
	case l.Place == config.Local && r.isPath():
		a.Arguments = []string{filepath.Join(l.Where, n.String())}
	case l.Place == config.S3, r.From == config.S3:
		a.Arguments = append(a.Arguments, "--from", string(l.Place))
	}
	return a
}
