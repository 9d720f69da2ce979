package command

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// Nothing promises a journal for which there is no room, also on a disk that is so full that nothing can be tried.
func TestCheckPromisesNoJournalWithoutRoom(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	m, err := member.Connect(t.Context(), member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second})
	must(t, err)
	defer m.Close()
	small := t.TempDir()
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=4m,mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(small, 0)) })
	for what, x := range map[string]struct {
		dir     string
		minFree int64
		room    bool
	}{
		"room": {t.TempDir(), 0, true}, "less than the journal needs": {small, 0, false}, "nothing": {small, 4 << 20, false},
	} {
		cfg := config.Config{Store: config.Store{Dir: x.dir, Node: "n1", MinFree: x.minFree}, Journal: config.Journal{On: true, Keep: 24 * time.Hour}}
		watch, room := checkJournal(t.Context(), m, cfg), checkJournalRoom(snapshot.NewDir(x.dir), cfg)
		if len(watch) != 1 || watch[0].Status != statusOK || strings.Contains(watch[0].Detail, "any moment of the last 1 day can be restored") != x.room {
			t.Errorf("%s: %+v", what, watch)
		}
		if (len(room) == 0) != x.room || len(room) > 0 && room[0].Status != statusWarn {
			t.Errorf("%s: %+v", what, room)
		}
	}
}
