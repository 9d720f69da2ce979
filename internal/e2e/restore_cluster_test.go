package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// lost is a cluster of three that is gone for good, and a snapshot of it.
type lost struct {
	*etcdtest.Cluster
	archive string
	state
}

func lose(t *testing.T, version string) *lost {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	for i := range 20 {
		_, err := client.Put(t.Context(), fmt.Sprint("/registry/", i), fmt.Sprint("value ", i))
		must(t, err)
	}
	l := &lost{Cluster: c, archive: saved(t, c), state: stateOf(t, client)}
	for _, m := range c.Members {
		must(t, m.Kill())
	}
	return l
}

// restore restores a snapshot on the i-th node, with what each node of a lost cluster needs and no more.
func (l *lost) restore(t *testing.T, i int, snapshot string, more ...string) (dir string) {
	t.Helper()
	dir = target(t)
	run(t, 0, nil, words("restore", []string{snapshot, "--members=recorded", "--name=" + l.Members[i].Name, "--data-dir=" + dir}, more)...)
	return dir
}

func (l *lost) revive(t *testing.T, i int, dir string) *revived {
	t.Helper()
	m := l.Members[i]
	return revive(t, l.Version, m.Name, dir, func() (client, peer string) { return m.ClientURL, m.PeerURL })
}

// Three members that are restored, each in its own directory, from the same snapshot form one cluster that elects and writes. Of
// a snapshot of 3.4 as of the newest, from our manifest or from the database itself.
func TestRestoredMembersFormACluster(t *testing.T) {
	parallel(t)
	for _, version := range []string{"3.4", etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			l := lose(t, version)
			raw := unpack(t, l.archive)
			var members []*revived
			for i, from := range []string{l.archive, raw, l.archive} {
				members = append(members, l.revive(t, i, l.restore(t, i, from)))
			}
			for i, m := range members {
				if got := stateOf(t, m.client); got.keys != l.keys+int64(i) {
					t.Errorf("member %d has %d keys, want %d", i, got.keys, l.keys+int64(i))
				}
				eventually(t, "the write was taken, perhaps by the next leader", func() bool {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					_, err := m.client.Put(ctx, fmt.Sprint("/written/", i), "")
					return err == nil
				})
			}
			want := stateOf(t, members[0].client)
			for i, m := range members {
				if got := stateOf(t, m.client); got != want {
					t.Errorf("member %d has %+v, the first %+v", i, got, want)
				}
			}
			l.wantMembers(t, members[2])
		})
	}
}

func (l *lost) wantMembers(t *testing.T, m *revived) {
	t.Helper()
	list, err := m.client.MemberList(t.Context())
	must(t, err)
	var got, want []string
	for _, m := range list.Members {
		got = append(got, m.Name+" "+strings.Join(m.PeerURLs, ",")+" "+strings.Join(m.ClientURLs, ","))
	}
	for _, m := range l.Members {
		want = append(want, m.Name+" "+m.PeerURL+" "+m.ClientURL)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the members are\n%q, want\n%q", got, want)
	}
}

// Members that were restored from different snapshots, or to different revisions, would disagree for ever: they refuse each
// other, for the token of their cluster is made of both.
func TestRestoreOfDifferentSnapshotsFormsNoCluster(t *testing.T) {
	parallel(t)
	l := lose(t, etcdtest.Default)
	must(t, l.Restart(t.Context()))
	_, err := etcdtest.Dial(t, l.Cluster).Put(t.Context(), "/registry/later", "")
	must(t, err)
	later := saved(t, l.Cluster)
	for _, m := range l.Members {
		must(t, m.Kill())
	}
	for _, x := range []struct {
		name   string
		second string
		flags  []string
	}{
		{"snapshots", later, nil},
		{"revisions", l.archive, []string{"--kubernetes"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := l.revive(t, 0, l.restore(t, 0, l.archive))
			b := l.revive(t, 1, l.restore(t, 1, x.second, x.flags...))
			for _, m := range []*revived{a, b} {
				m.says(t, "cluster ID mismatch")
				defer m.kill()
			}
		})
	}
}

// Learners are no part of the restored cluster, and the output says so.
func TestRestoreSkipsLearners(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	_, err := c.AddLearner(t.Context())
	must(t, err)
	archive := saved(t, c)
	want := stateOf(t, etcdtest.Dial(t, c))
	for _, from := range []string{archive, unpack(t, archive)} {
		dir := target(t)
		run(t, 0, []string{"node1 of node1=" + c.Members[0].PeerURL + "\n", "learner1 (a learner: add it again"}, "restore", from, "--data-dir="+dir)
		wantState(t, etcdtest.Default, "node1", dir, want).kill()
		run(t, 2, []string{"--name learner1 is not among the members node1"}, "restore", from, "--data-dir="+target(t), "--name=learner1")
	}
}
