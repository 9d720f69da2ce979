package command

import (
	"context"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// checkJournal opens the watch of a journal: there is no other way to know whether a user may read all keys.
func checkJournal(ctx context.Context, m *member.Member, j config.Journal) []finding {
	if !j.On {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	w, err := m.Watch(ctx, 0)
	if err != nil {
		return []finding{fail("journal", err)}
	}
	return []finding{okay("journal", "watch of all keys opened at revision %d; any moment of the last %s can be restored once it runs", w.Head, inDays(j.Keep))}
}

// checkJournalRoom reports a disk that has room for snapshots, and not for a journal.
func checkJournalRoom(dir *snapshot.Dir, cfg config.Config) []finding {
	if !cfg.Journal.On {
		return nil
	}
	if err := service.JournalRoom(dir, cfg.Store); err != nil {
		return []finding{warn("journal space", "%s", line(err))}
	}
	return nil
}

// inDays is a duration as --journal-keep takes it.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return english.Plural(int(d/day), "day", "days")
	}
	return d.String()
}
