package etcdtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// readyLimit bounds a start when the caller's context does not; three members on a busy machine take a few seconds.
	readyLimit = 90 * time.Second
	probeEvery = 50 * time.Millisecond
	probeLimit = 3 * time.Second
	// tailSize is how much of a log goes into an error, in bytes.
	tailSize = 4 << 10
)

// errPortTaken says that another process took a port between its reservation and the start of etcd.
var errPortTaken = errors.New("port taken by another process")

// awaitHealthy waits until the member serves a linearizable read, that is, until it knows a leader and has caught up with it.
// offset is where the log of this process begins.
func (m *Member) awaitHealthy(ctx context.Context, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	p := m.process()
	var last error
	err := poll(ctx, probeEvery, func() (bool, error) {
		if !p.running() {
			return false, m.exited(p, offset)
		}
		last = m.probe(ctx)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for %s: %w; last probe: %w; end of its log:\n%s", m.Name, err, last, m.tail(offset))
	}
	return err
}

// probe asks for /health, which needs no etcd user. Alarms do not count: a full database still has to start.
func (m *Member) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	url := m.ClientURL + "/health?exclude=NOSPACE&exclude=CORRUPT"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := m.cluster.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, tailSize))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}

// exited explains the end of a process that ought to run.
func (m *Member) exited(p *process, offset int64) error {
	tail := m.tail(offset)
	err := fmt.Errorf("%s ended: %s; end of its log:\n%s", m.Name, p.exit, tail)
	if bytes.Contains(tail, []byte("address already in use")) {
		return errors.Join(errPortTaken, err)
	}
	return err
}

// tail returns the end of the log, what was written from offset on, at most tailSize bytes.
func (m *Member) tail(offset int64) []byte {
	f, err := os.Open(m.LogPath)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return []byte(err.Error())
	}
	offset = max(offset, info.Size()-tailSize)
	text, err := io.ReadAll(io.NewSectionReader(f, offset, tailSize))
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// probeClient keeps no connection: a member that is killed and started again must not be judged by an old one.
func probeClient(pki *Authority) (*http.Client, error) {
	var config *tls.Config
	if pki != nil {
		var err error
		if config, err = pki.TLSConfig(); err != nil {
			return nil, err
		}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}, nil
}
