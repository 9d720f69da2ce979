package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"etcd-rolling-backup/internal/proctest"
)

// errOtherFailed aborts the start of the other members if one fails.
var errOtherFailed = errors.New("another member failed")

// boot makes the members on newly chosen ports, starts them and waits until all are healthy.
func (c *Cluster) boot(ctx context.Context) error {
	addresses, err := proctest.ReservePorts(2 * c.options.Members)
	if err != nil {
		return err
	}
	c.Members = nil
	for i := range c.options.Members {
		name := "node" + strconv.Itoa(i+1)
		c.Members = append(c.Members, c.newMember(name, addresses[2*i], addresses[2*i+1]))
	}
	for _, m := range c.Members {
		m.Args = c.arguments(m, c.Members, "new")
		if err := os.MkdirAll(filepath.Dir(m.LogPath), 0o700); err != nil {
			return err
		}
	}
	if err := c.each(ctx, (*Member).Run); err != nil || len(c.Members) == 1 {
		return err
	}
	return c.settle(ctx) // each knows the names and addresses of the others
}

// settle returns when each voter has applied all that the cluster has acknowledged until now.
func (c *Cluster) settle(ctx context.Context) error {
	for _, m := range c.Members {
		client, err := m.Client(ctx)
		if err != nil {
			return err
		}
		_, err = client.Get(ctx, "settled") // a linearizable read waits for that
		_ = client.Close()
		if err != nil {
			return fmt.Errorf("%s has not applied everything: %w", m.Name, err)
		}
	}
	return nil
}

// Restart starts all voters that are down, in parallel, and returns once they report that they are healthy: use it after the quorum was
// lost. Running and paused members are not changed.
func (c *Cluster) Restart(ctx context.Context) error { return c.each(ctx, (*Member).Restart) }

// each starts the voters that are down in parallel, because a single member is not healthy without a quorum.
// The first failure aborts the wait for the others.
func (c *Cluster) each(ctx context.Context, start func(*Member, context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, len(c.Members))
	var group sync.WaitGroup
	for i, m := range c.Members {
		if m.PID() != 0 {
			continue
		}
		group.Go(func() {
			if errs[i] = start(m, ctx); errs[i] != nil {
				cancel(errOtherFailed)
			}
		})
	}
	group.Wait()
	// Only errors other than errOtherFailed show the cause.
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, errOtherFailed) })...)
}

// clear kills the members and removes their files, so that boot can start again.
func (c *Cluster) clear() error {
	var errs []error
	for _, m := range c.Members {
		errs = append(errs, m.Kill(), os.RemoveAll(filepath.Dir(m.LogPath)))
	}
	return errors.Join(errs...)
}

func (c *Cluster) newMember(name, client, peer string) *Member {
	scheme := "http://"
	if c.PKI != nil {
		scheme = "https://"
	}
	m := &Member{
		ClientURL: scheme + client,
		PeerURL:   scheme + peer,
		Endpoint:  client,
		DataDir:   filepath.Join(c.Dir, name, "data"),
		cluster:   c,
	}
	if c.options.Sockets {
		// With a port, as etcd 3.4 wants it: etcd makes a file of this name in its working directory.
		m.Dir = filepath.Join(c.Dir, name)
		m.Socket = strings.Replace(scheme, "http", "unix", 1) + filepath.Join(m.Dir, "localhost:1")
	}
	m.Name, m.Program, m.Env = name, c.etcd, cleanEnv()
	m.LogPath = filepath.Join(c.Dir, name, "etcd.log")
	m.Probe = m.healthy
	return m
}

// arguments is the command line of a member; members are the initial cluster with itself, state is "new" or "existing".
// All flags have the same name and meaning from 3.4 to 3.7; the logger is set because 3.4 has another default.
func (c *Cluster) arguments(m *Member, members []*Member, state string) []string {
	var initial []string
	for _, p := range members {
		initial = append(initial, p.Name+"="+p.PeerURL)
	}
	args := []string{
		"--name=" + m.Name,
		"--data-dir=" + m.DataDir,
		"--listen-client-urls=" + m.ClientURL,
		"--advertise-client-urls=" + m.ClientURL,
		"--listen-peer-urls=" + m.PeerURL,
		"--initial-advertise-peer-urls=" + m.PeerURL,
		"--initial-cluster=" + strings.Join(initial, ","),
		"--initial-cluster-state=" + state,
		"--logger=zap",
		"--log-outputs=stderr",
	}
	if c.PKI != nil {
		args = append(args, c.PKI.serverFlags()...)
	}
	if m.Socket != "" {
		args = append(args, "--listen-client-urls="+m.ClientURL+","+strings.Replace(m.Socket, m.Dir+"/", "", 1))
	}
	if c.options.QuotaBytes != 0 {
		args = append(args, "--quota-backend-bytes="+strconv.FormatInt(c.options.QuotaBytes, 10))
	}
	if c.options.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync") // 3.4 does not list it, but has it
	}
	return append(args, c.options.Flags...)
}
