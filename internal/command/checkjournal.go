package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// checkJournal opens the watch of a journal: there is no other way to know whether a user may read all keys.
func checkJournal(ctx context.Context, m *member.Member, cfg config.Config) []finding {
	if !cfg.Journal.On {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	w, err := m.Watch(ctx, 0)
	if err != nil {
		return []finding{fail("journal", err)}
	}
	text := fmt.Sprintf("watch of all keys opened at revision %d", w.Head)
	if service.JournalRoom(snapshot.NewDir(cfg.Store.Dir), cfg.Store) == nil { // else it does not run
		text += fmt.Sprintf("; any moment of the last %s can be restored once it runs", inDays(cfg.Journal.Keep))
	}
	return []finding{okay("journal", "%s", text)}
}

// checkJournalRoom reports a disk that has no room for a journal. What else is wrong with the directory, others report.
func checkJournalRoom(dir *snapshot.Dir, cfg config.Config) []finding {
	if !cfg.Journal.On {
		return nil
	}
	if err := service.JournalRoom(dir, cfg.Store); errors.Is(err, snapshot.ErrLowSpace) {
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
