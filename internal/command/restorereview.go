package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/restore"
)

var (
	errMembersRun   = errors.New("the cluster still runs")
	errOtherCluster = errors.New("another cluster")
)

// surveyLimit is how long a restore waits for members that do not answer.
const surveyLimit = 3 * time.Second

// review refuses a restore that is allowed technically and is most likely a mistake.
func (r *restoring) review(ctx context.Context, p *restore.Plan) error {
	if err := r.reviewMembers(ctx, p); err != nil {
		return err
	}
	return r.reviewCluster(p)
}

// reviewMembers refuses the restore of a member while most members of its cluster run. The rules:
//   - Voting members count that answer at a client URL that the snapshot records. A certificate is not needed to see that one runs.
//   - One that knows a leader is enough: then most members run, even if they can't be reached from here. If those that answer know none,
//     the cluster has lost its quorum, whatever listens at the addresses of the others.
//   - A cluster of one member can't be replaced by its other members, so its restore is only warned of.
//   - Members that already run in the cluster that this restore makes do not count.
//   - It is only a warning with --dry-run, with --ignore-running-members, and for a copy: other peer URLs than the recorded ones and an
//     empty target.
func (r *restoring) reviewMembers(ctx context.Context, p *restore.Plan) error {
	voters := slices.DeleteFunc(slices.Clone(p.Members), func(m snapshot.Member) bool { return m.Learner })
	slices.SortFunc(voters, func(a, b snapshot.Member) int { return cmp.Compare(a.Name, b.Name) })
	id, err := p.Cluster.ID()
	if err != nil {
		return err
	}
	cfg := member.Config{CACert: r.cfg.Etcd.CACert, Cert: r.cfg.Etcd.Cert, Key: r.cfg.Etcd.Key}
	running := slices.DeleteFunc(member.Survey(ctx, cfg, voters, surveyLimit), func(s member.Sighting) bool { return s.Answered && s.ClusterID == id })
	led := slices.ContainsFunc(running, func(s member.Sighting) bool { return s.Leader })
	alone := slices.ContainsFunc(running, func(s member.Sighting) bool { return s.Answered }) && !led // an answer counts more than an open port
	who := fmt.Sprintf("%d of %d members run: %s", len(running), len(voters), seen(running))
	switch {
	case len(running) == 0:
		return nil
	case len(voters) == 1:
		r.warn("the only member of the cluster runs: %s; stop it before you start another etcd on the restored data", seen(running))
		return nil
	case alone, 2*len(running) <= len(voters) && !led:
		r.warn("%s; before you go on, take a last snapshot there (etcd-rolling-backup save --label last-alive), then stop etcd on all nodes", who)
		return nil
	case isCopy(p):
		r.warn("%s; the restored data is a copy next to a cluster that runs", who)
		return nil
	case r.o.IgnoreRunning || r.o.DryRun:
		r.warn("%s: %s; the restored data does not have what they wrote since the snapshot", errMembersRun, who)
		return nil
	}
	return fmt.Errorf("%w: %s; a restore would lose what they wrote since the snapshot: replace the lost member with etcdctl member remove and "+
		`etcdctl member add instead (docs/RESTORE.md, "One member of several is lost"); --ignore-running-members restores anyway`, errMembersRun, who)
}

// isCopy reports whether the restored data can't be mistaken for a member of the recorded cluster.
func isCopy(p *restore.Plan) bool {
	recorded := restore.DataCluster{Members: p.Members}
	return len(p.Aside) == 0 && !slices.ContainsFunc(p.Cluster.Peers, func(peer restore.Peer) bool {
		return slices.ContainsFunc(peer.URLs, recorded.HasPeerURL)
	})
}

// seen names the members that run.
func seen(running []member.Sighting) string {
	var parts []string
	for _, s := range running {
		what := "knows no leader"
		switch {
		case !s.Answered:
			what = "a server answers there"
		case s.Leader:
			what = "knows a leader: most members run"
		}
		parts = append(parts, fmt.Sprintf("%s (%s, %s)", s.Member.Name, s.URL, what))
	}
	return english.WordSeries(parts, "and")
}

// reviewCluster refuses to move the data of another cluster aside.
func (r *restoring) reviewCluster(p *restore.Plan) error {
	if len(p.Aside) == 0 {
		return nil
	}
	old, unread := p.Existing()
	taken := r.taken(p)
	old.Predecessors = r.recorded(old.Cluster)
	if id, err := p.Cluster.ID(); err != nil || id == old.Cluster { // the same restore again
		return err
	}
	switch old.Relation(taken) {
	case restore.Same:
		return nil
	case restore.Unknown:
		r.warn("cannot tell whether the data in %s is of the same cluster as the snapshot%s", p.DataDir, because(unread))
		return nil
	case restore.Other:
	}
	text := fmt.Sprintf("the data in %s is of %s, and the snapshot is of %s: is this the right node, and the right snapshot?", p.DataDir, identity(old), identity(taken))
	if r.o.OtherCluster || r.o.DryRun {
		r.warn("%s: %s", errOtherCluster, text)
		return nil
	}
	return fmt.Errorf("%w: %s To replace the data anyway, add --other-cluster", errOtherCluster, text)
}

// taken is the cluster that the snapshot was taken from.
func (r *restoring) taken(p *restore.Plan) restore.DataCluster {
	c := restore.DataCluster{Members: p.Members}
	if m := r.manifest; m != nil {
		c.Cluster = m.ClusterID
		c.Predecessors = slices.Concat(m.Predecessors, r.recorded(m.ClusterID))
	}
	return c
}

// recorded are the clusters that one was restored from, as the snapshot directory records it; a record that can't be read counts as none.
func (r *restoring) recorded(id snapshot.ID) []snapshot.ID {
	earlier, err := snapshot.NewDir(r.cfg.Store.Dir).Predecessors(id)
	if err != nil {
		r.warn("%s", config.OneLine(err.Error()))
	}
	return earlier
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + config.OneLine(err.Error())
}

// identity names a cluster for people.
func identity(c restore.DataCluster) string {
	var names []string
	for _, m := range c.Members {
		names = append(names, m.Name)
	}
	text := "a cluster"
	if c.Known() {
		text = "cluster " + c.Cluster.String()
	}
	if len(names) > 0 {
		text += " (" + english.PluralWord(len(names), "member ", "members ") + english.WordSeries(names, "and") + ")"
	}
	return text
}
