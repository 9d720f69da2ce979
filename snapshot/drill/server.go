package drill

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	memberName = "drill" // and the cluster's token
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
		InitialClusterToken: memberName,
		SkipHashCheck:       d.journal != nil, // a merged database has no digest
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

// config returns the configuration of an etcd without any listener: all requests are made inside the process, so nobody else can
// reach it.
func (d *drill) config() (*embed.Config, error) {
	at, err := url.Parse(memberURL)
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name = memberName
	c.Dir = filepath.Join(d.dir, dataDir)
	c.InitialCluster, c.InitialClusterToken = memberName+"="+memberURL, memberName
	c.AdvertisePeerUrls, c.AdvertiseClientUrls = []url.URL{*at}, []url.URL{*at}
	c.ListenPeerUrls, c.ListenClientUrls, c.ListenClientHttpUrls, c.ListenMetricsUrls = nil, nil, nil, nil
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = d.report.RawSize + quotaSpare
	c.UnsafeNoFsync = true // the data is thrown away, and each sync would delay the real etcd
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(d.log.logger)
	return c, nil
}

// logTail is how many bytes of etcd's error log are kept.
const logTail = 2 << 10

// serverLog is the logger of etcd's code. It keeps the last errors, and turns what would end the process, a fatal message or a
// panic, into an error of guard.
type serverLog struct {
	logger *zap.Logger
	fatal  chan error

	mu   sync.Mutex
	tail string
}

func newServerLog() *serverLog {
	l := &serverLog{fatal: make(chan error, 1)}
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "msg", LineEnding: "\n"})
	core := zapcore.NewCore(encoder, zapcore.AddSync(l), zap.ErrorLevel)
	l.logger = zap.New(core, zap.WithFatalHook(l), zap.WithPanicHook(l))
	return l
}

// Write receives a line of the log.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail += string(p)
	l.tail = l.tail[max(0, len(l.tail)-logTail):]
	return len(p), nil
}

// withLog adds etcd's log to an error.
func (l *serverLog) withLog(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tail == "" {
		return err
	}
	return fmt.Errorf("%w (etcd's log: %s)", err, strings.Join(strings.Fields(l.tail), " "))
}

// OnWrite is called when etcd cannot continue. It ends only that goroutine.
func (l *serverLog) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := fmt.Errorf("etcd gave up: %s", e.Message)
	for _, f := range fields {
		if cause, ok := f.Interface.(error); ok {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	select {
	case l.fatal <- err:
	default: // the first one is the cause
	}
	runtime.Goexit()
}

// guard runs a piece of etcd's code, which cannot be interrupted and may exit instead of returning an error. When ctx ends, that
// code keeps running in the background. fault is wrapped around the error if the code gives up, or does not end within limit: what a
// panic leaves open may wait forever for a lock that the panicking code holds.
func (l *serverLog) guard(ctx context.Context, fault error, limit time.Duration, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				err, _ := r.(error)
				if err == nil {
					err = fmt.Errorf("%v", r)
				}
				done <- blame(fault, fmt.Errorf("etcd panicked: %w", err))
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case err := <-l.fatal:
		return blame(fault, err)
	case <-time.After(limit):
		return fmt.Errorf("%w: no result within %s", fault, limit)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
