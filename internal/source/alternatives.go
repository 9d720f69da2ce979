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
// one of the same cluster. A local one was read and is intact; of one in the bucket the manifest is. ok is false if there is none, or if
// the places do not answer soon. Request's Dir, Bucket and Reference count.
func (r Request) Instead(ctx context.Context, damaged snapshot.Name, in config.Place) (a Alternative, ok bool) {
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	dir := r.Dir
	if r.isPath() {
		dir = filepath.Dir(r.Reference)
	}
	all, _ := List(limited, dir, r.Bucket)
	defer closeAll(all)
	read, _ := manifests(limited, all, func(n snapshot.Name) bool { return !n.Time.After(damaged.Time) })
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
			if !has || e.Name.Time.After(damaged.Time) || isCopy && (l.Place == in || in == config.Anywhere && l.Place == config.Local) {
				continue
			}
			c, itsKnown := clusterOf(histories, read[of(e)])
			unknown := read[of(e)].Format == "" || !isCopy && !known && len(histories) > 1
			stranger := known && itsKnown && !own.Continues(c)
			if !unknown && !stranger && l.intact(ctx, e.Name) == nil {
				return r.alternative(e.Name, isCopy, l), true
			}
		}
	}
	return a, false
}

func (r Request) alternative(n snapshot.Name, isCopy bool, l Listing) Alternative {
	a := Alternative{Name: n, Copy: isCopy, Place: l.Place, Where: l.Where, Age: old(n.Time, time.Now()), Arguments: []string{n.String()}}
	switch {
	case l.Place == config.Local && r.isPath():
		a.Arguments = []string{filepath.Join(l.Where, n.String())}
	case l.Place == config.S3, r.From == config.S3:
		a.Arguments = append(a.Arguments, "--from", string(l.Place))
	}
	return a
}
