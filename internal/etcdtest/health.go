package etcdtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"

	"etcd-rolling-backup/internal/proctest"
)

// healthy requests /health, which needs no etcd user. It checks that the member serves a linearizable read: it has a leader and has
// caught up with it. Alarms do not count, because a member with a full database must start too.
func (m *Member) healthy(ctx context.Context) error {
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
	body, err := io.ReadAll(io.LimitReader(response.Body, proctest.TailSize))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}

// probeClient keeps no connection, because after a restart of the member an old one would fail.
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
