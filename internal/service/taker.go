package service

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
)

const (
	// probeTimeout is how long the start waits for etcd. Until then /readyz does not answer either.
	probeTimeout = 2 * time.Second
	// lookInterval is how often etcd is asked for its status between two snapshots.
	lookInterval = time.Minute
	// sameSecondTries is how many seconds are tried for a snapshot whose name another daemon takes.
	sameSecondTries = 10
	// catchUpTimeout is how long a snapshot waits for a follower that lags.
	catchUpTimeout = 3 * time.Second
)

// taker takes snapshots of the member into the local directory. Each run connects with the certificates and the password of that time.
type taker struct {
	config  func() config.Config // the settings of a daemon now, of which role and options are; nil: they stay as they are
	member  func() (member.Config, error)
	etcd    *finder // whose member that is; nil: nobody's
	role    daemon.Role
	dir     *snapshot.Dir
	options snapshot.TakeOptions
	pacing  func() pacing // nil: full speed
	share   bool          // MinFree is at most a share of what is free
	// stateFile fetches that of RKE's cluster; nil: there is none.
	stateFile func(context.Context) ([]byte, error)
	status    *status.Tracker // nil: nobody is interested
	name      *memberName
	// forced reports that the journal needs a snapshot of this member, whatever the role; nil: there is no journal.
	forced func() bool
}

// newTaker makes the one of a daemon.
func newTaker(now func() config.Config, etcd *finder, p Process, dir *snapshot.Dir, tracker *status.Tracker, name *memberName) *taker {
	cfg := now()
	o := snapshot.TakeOptions{
		Set: snapshot.RollingSet, Node: cfg.Store.NodeName(), ToolVersion: p.Version, MinFree: cfg.Store.MinFree, Stall: cfg.Etcd.Stall,
	}
	if cfg.Store.Zip {
		o.Named = snapshot.RollingZip
	}
	return &taker{
		config: now, member: etcd.member, etcd: etcd, role: cfg.Role, dir: dir, options: o, share: cfg.Store.MinFreeShare, stateFile: p.StateFile, status: tracker, name: name,
		pacing: func() pacing { return pacingOf(now(), time.Now()) },
	}
}

// Take implements daemon.Taker.
func (t *taker) Take(ctx context.Context, log logrus.FieldLogger, alive func()) (taken snapshot.Taken, err error) {
	defer func() { err = withRemedy(err) }()
	o, role := t.options, t.role
	if t.config != nil {
		now := t.config()
		role, o.MinFree = now.Role, now.Store.MinFree
	}
	if o.Progress == nil { // nobody but the daemon waits for a sign of life, and it shows no progress
		o.Progress = func(int64, int64) { alive() }
	}
	if t.stateFile != nil {
		o.StateFile = func(ctx context.Context) []byte { return t.fetchState(ctx, log) }
	}
	if share, err := t.dir.FreeShare(); t.share && err == nil {
		o.MinFree = min(o.MinFree, share)
	}
	m, err := t.connect(ctx)
	if err != nil {
		return taken, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if silent := m.Silent(); silent != nil {
		log.WithField("endpoint", m.Endpoint()).Warnf("an endpoint does not answer; using the next: %s", ErrorLine(silent))
	}
	voters := slices.DeleteFunc(slices.Clone(m.Source().Members), func(m snapshot.Member) bool { return m.Learner }) // learners give no snapshots
	if t.forced != nil && t.forced() {
		role = daemon.RoleAny
	}
	if err := role.Choose(m.Leader(), m.Source().Healthy, len(voters)); err != nil {
		return taken, err
	}
	latency := t.pace().slowDown(ctx, m, &o, log)
	defer func() { taken.Latency = latency() }()
	if t.forced != nil {
		noteAuth(ctx, m, log)
	}
	catchUp(ctx, m, log) // after the measurement, so that the snapshot has what was written meanwhile
	l, err := LineageOf(t.dir, m.Source().ClusterID, t.status)
	if err != nil {
		log.WithError(err).Warn("what this cluster was restored from is not known; its earlier snapshots are kept as those of another cluster")
	}
	return t.store(ctx, successor{m, l.Predecessors}, o)
}

func (t *taker) pace() pacing {
	if t.pacing == nil {
		return pacing{}
	}
	return t.pacing()
}

// fetchState also records whether the snapshot includes the state file.
func (t *taker) fetchState(ctx context.Context, log logrus.FieldLogger) []byte {
	data, err := t.stateFile(ctx)
	if ctx.Err() != nil { // the snapshot has failed, or the daemon is being stopped
		return data
	}
	t.status.SetStateFile(data != nil)
	if err != nil {
		log.WithError(err).Warn("the snapshot does not include the state file of RKE's cluster")
	}
	return data
}

// store takes the snapshot. If its name exists, another daemon has taken one in the same second: the next second is free. The bucket can
// only be asked for the name too early, so a second that another cluster has used there before is left to it.
func (t *taker) store(ctx context.Context, m snapshot.Streamer, o snapshot.TakeOptions) (snapshot.Taken, error) {
	for try := 1; ; try++ {
		last := o.Set != snapshot.RollingSet || try == sameSecondTries
		if last || !t.status.SecondTaken(time.Now()) {
			taken, err := snapshot.Take(ctx, m, t.dir, o)
			if last || !errors.Is(err, snapshot.ErrExists) {
				return taken, err
			}
		}
		select {
		case <-time.After(time.Until(time.Now().Truncate(time.Second).Add(time.Second))):
		case <-ctx.Done():
			return snapshot.Taken{}, ctx.Err()
		}
	}
}

// successor is a member whose cluster was restored from others.
type successor struct {
	*member.Member
	predecessors []snapshot.ID
}

// Source implements snapshot.Streamer.
func (s successor) Source() snapshot.Source {
	source := s.Member.Source()
	source.Predecessors = s.predecessors
	return source
}

// catchUp lets the member apply what the cluster has acknowledged until now. It fails no snapshot: without a confirmation in time, the
// snapshot is what the member has. Without a leader nobody can confirm anything, and the manifest records that.
func catchUp(ctx context.Context, m *member.Member, log logrus.FieldLogger) {
	if !m.Source().Healthy {
		return
	}
	wait, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := m.CatchUp(wait); err != nil && ctx.Err() == nil {
		log.WithField("error", ErrorLine(err)).Warn("etcd did not confirm in time that this member has all acknowledged writes; the snapshot may lack the newest")
	}
}

// noteAuth lets the journal see later that users or roles have changed since the snapshot. It fails no snapshot.
func noteAuth(ctx context.Context, m *member.Member, log logrus.FieldLogger) {
	if !m.Source().Healthy {
		return
	}
	wait, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := m.NoteAuth(wait); err != nil {
		log.WithField("error", ErrorLine(err)).Debug("the state of users and roles is not known")
	}
}

// connect notes what came of it, and what the member said of itself. One that refuses the connection has answered.
func (t *taker) connect(ctx context.Context) (*member.Member, error) {
	cfg, err := t.member()
	if err != nil {
		return nil, err
	}
	cfg.Gentle = t.pace().rate != pace.Off
	m, err := member.Connect(ctx, cfg)
	if err = t.etcd.connected(err); err != nil {
		if ctx.Err() == nil && reason(status.Snapshot, err) == status.Unreachable {
			t.status.MemberAway(time.Now())
		}
		return nil, err
	}
	s := m.Source()
	if m.Silent() == nil { // else it may be another node's member, used instead of the silent one
		t.name.set(nameOf(s))
		l, _ := LineageOf(t.dir, s.ClusterID, t.status) // each run logs the error
		t.status.SetCluster(l)
	}
	t.status.SetMember(time.Now(), m.DBSize(), s.Healthy, s.Alarms)
	return m, nil
}

// probe connects to etcd before the daemon starts. Endpoints of different clusters are an error of configuration that only the
// endpoints show. An etcd that is down is none: the daemon waits for it.
func (t *taker) probe(ctx context.Context, log logrus.FieldLogger) error {
	first, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	m, err := t.connect(first)
	switch {
	case err == nil:
		return m.Close()
	case t.etcd.looks() && ctx.Err() == nil && !errors.Is(err, member.ErrDifferentClusters): // it may be about to be installed
		log.WithField("error", ErrorLine(err)).Warn("etcd does not answer yet")
	case errors.Is(err, config.ErrUsage) || errors.Is(err, member.ErrConfig) || errors.Is(err, member.ErrDifferentClusters):
		return err
	case ctx.Err() == nil: // else the daemon is being stopped
		log.WithField("error", ErrorLine(err)).Warn("etcd does not answer yet")
	}
	return nil
}

// lookLoop asks etcd for its status again and again. That it does not answer is only logged for debugging: the metrics show when it last did.
func (t *taker) lookLoop(ctx context.Context, log logrus.FieldLogger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(t.lookPause()):
		}
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			log.WithField("error", ErrorLine(err)).Debug("etcd does not answer")
		}
	}
}

// loginInterval is the time between two looks that need a login, which costs etcd more: a bcrypt hash and a write through raft.
const loginInterval = 10 * time.Minute

// lookPause returns the time until the next look.
func (t *taker) lookPause() time.Duration {
	if cfg, err := t.member(); err == nil && cfg.User != "" {
		return loginInterval
	}
	return lookInterval
}

// look reads the member's status.
func (t *taker) look(ctx context.Context) error {
	m, err := t.connect(ctx)
	if err != nil {
		return err
	}
	return m.Close()
}

// nameOf is the name of the member that the source describes; "" if it does not say, as for a learner.
func nameOf(s snapshot.Source) string {
	for _, m := range s.Members {
		if m.ID == s.MemberID {
			return m.Name
		}
	}
	return ""
}

// memberName is the name of this node's member, and its ID, as far as they are known.
type memberName struct {
	last atomic.Value
}

// set keeps the known name if the new one is "".
func (n *memberName) set(name string) {
	if name != "" {
		n.last.Store(name)
	}
}

func (n *memberName) get() string {
	name, _ := n.last.Load().(string)
	return name
}

// recallMember learns the name from the newest rolling snapshot of this node: a daemon that starts when etcd is lost for good has nobody
// else to ask. With several endpoints the snapshot may be of any of them. What cannot be read is reported once the daemon works.
func recallMember(cfg config.Config, dir *snapshot.Dir, known snapshot.Lineage) *memberName {
	name := &memberName{}
	l, err := dir.List()
	if err != nil || len(cfg.Etcd.Endpoints) != 1 {
		return name
	}
	for _, e := range l.Snapshots {
		if !e.Name.Rolling(cfg.Store.Node) {
			continue
		}
		if m, err := dir.Manifest(e.Name); err == nil && (!known.Known() || known.Has(m.ClusterID)) {
			name.set(nameOf(m.Source))
			break
		}
	}
	return name
}
