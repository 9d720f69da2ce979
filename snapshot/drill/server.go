package drill

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/version"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
)

const (
	memberName   = "drill"
	clusterToken = "drill"
	// memberURL is required but never used: a single member calls nobody, and this one listens nowhere.
	memberURL = "http://127.0.0.1:1"
	// quotaSpare is how much the server's quota exceeds the database, in bytes. The snapshot's own database may have reached its
	// quota.
	quotaSpare = 1 << 30
)

// restore creates the data directory of a cluster with one member. etcdutl compares etcd's digest again.
func (d *drill) restore(context.Context) error {
	return etcdutl.NewV3(d.log.logger).Restore(etcdutl.RestoreConfig{
		SnapshotPath:        d.database(),
		Name:                memberName,
		OutputDataDir:       filepath.Join(d.dir, dataDir),
		PeerURLs:            []string{memberURL},
		InitialCluster:      memberName + "=" + memberURL,
		InitialClusterToken: clusterToken,
	})
}

// boot starts an etcd on the data directory and waits until it has elected itself.
func (d *drill) boot(ctx context.Context) error {
	config, err := d.config()
	if err != nil {
		return err
	}
	e, err := embed.StartEtcd(config)
	if err != nil {
		return d.log.withLog(blame(ErrStart, err))
	}
	d.server, d.result.EtcdVersion = e, version.Version
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case <-e.Server.StopNotify():
		return d.log.withLog(blame(ErrStart, errors.New("etcd stopped on its own")))
	case err := <-e.Err():
		return d.log.withLog(blame(ErrStart, fmt.Errorf("etcd exited: %w", err)))
	case <-ctx.Done():
		return d.log.withLog(context.Cause(ctx))
	}
}

// config returns the configuration of an etcd without any messageReader: all requests are made inside the process, so nobody else can
// reach it.
func (d *drill) config() (*embed.Config, error) {
	at, err := url.Parse(memberURL)
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name = memberName
	c.Dir = filepath.Join(d.dir, dataDir)
	c.InitialCluster, c.InitialClusterToken = memberName+"="+memberURL, clusterToken
	c.AdvertisePeerUrls, c.AdvertiseClientUrls = []url.URL{*at}, []url.URL{*at}
	c.ListenPeerUrls, c.ListenClientUrls, c.ListenClientHttpUrls, c.ListenMetricsUrls = nil, nil, nil, nil
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = d.report.Manifest.RawSize + quotaSpare
	c.UnsafeNoFsync = true // the data is thrown away, and each sync would delay the real etcd
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(d.log.logger)
	return c, nil
}
