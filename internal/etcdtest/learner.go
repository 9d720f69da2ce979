package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"etcd-rolling-backup/internal/proctest"
)

// AddLearner adds a learner to the cluster, starts its server and returns once it has caught up. It is in Learners but not in
// Endpoints, because a learner refuses most requests, also the login that [Member.Client] needs after EnableAuth.
// etcd allows one learner at a time; from 3.6 on the flag --max-learners allows more.
func (c *Cluster) AddLearner(ctx context.Context) (*Member, error) {
	addresses, err := proctest.ReservePorts(2)
	if err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	m := c.newMember("learner"+strconv.Itoa(len(c.Learners)+1), addresses[0], addresses[1])
	m.Args = c.arguments(m, slices.Concat(c.Members, c.Learners, []*Member{m}), "existing")
	if err := os.MkdirAll(filepath.Dir(m.LogPath), 0o700); err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	if err := c.announce(ctx, m); err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	c.Learners = append(c.Learners, m)
	if err := m.Restart(ctx); err != nil {
		return nil, fmt.Errorf("add learner: %w", err)
	}
	return m, nil
}

// announce adds the learner to the cluster's members. For the first seconds, until its members have been connected for a while, a
// cluster of three refuses that (rpctypes.ErrUnhealthy), so announce retries until the context ends.
func (c *Cluster) announce(ctx context.Context, m *Member) error {
	ctx, cancel := context.WithTimeout(ctx, proctest.ReadyLimit)
	defer cancel()
	client, err := c.Client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return proctest.Poll(ctx, 200*time.Millisecond, func() (bool, error) {
		_, err := client.MemberAddAsLearner(ctx, []string{m.PeerURL})
		if errors.Is(err, rpctypes.ErrUnhealthy) {
			return false, nil
		}
		return err == nil, err
	})
}
