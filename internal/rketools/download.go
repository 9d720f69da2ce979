package rketools

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

const (
	// firstByte is how long a peer may unpack its archive. Docker repeats the download until RKE's 300 seconds are over.
	firstByte = 2 * time.Minute
	// peerSilence is how long a peer may be silent in the middle of a transfer.
	peerSilence = 30 * time.Second
)

// download brings a snapshot to /backup. What is there already stays until the new one is complete and proven.
type download struct {
	name    string
	dir     string // /backup
	minFree int64  // bytes of the disk that the download leaves free
	log     logrus.FieldLogger

	// Of a download from a peer.
	endpoint string        // --local-endpoint: the host of serve
	port     string        // ""; 2379
	identity peer.Identity // --cacert, --cert, --key
}

// fromPeer fetches the raw database from a serve of this program or of rke-tools. RKE then compares its MD5 between the hosts.
func (d download) fromPeer(ctx context.Context) error {
	if err := checkName(d.name); err != nil {
		return err
	}
	address, err := d.address()
	if err != nil {
		return err
	}
	id := d.identity
	id.Nameless = true
	client, err := peer.Dial(id, address)
	if err != nil {
		return err
	}
	client.Stall = peerSilence
	d.log.WithFields(logrus.Fields{"name": d.name, "peer": address}).Info("downloading snapshot")
	body, size, err := client.File(ctx, d.name, firstByte)
	if err != nil {
		return err
	}
	defer body.Close()
	r, err := snapshot.NewDir(d.dir).Replace(d.name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Receive(ctx, body, size, d.minFree); err != nil {
		return err
	}
	digest, err := prove(ctx, r.File)
	if err != nil {
		return fmt.Errorf("peer %s: what it sent as %s: %w", address, d.name, err)
	}
	if err := r.Commit(); err != nil {
		return err
	}
	d.log.WithFields(logrus.Fields{"name": d.name, "peer": address, "bytes": size, "sha256": digest}).Info("snapshot downloaded and verified")
	return nil
}

// address of the peer. RKE gives an address without a port.
func (d download) address() (string, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(d.endpoint, "["), "]")
	switch {
	case host == "":
		return "", fmt.Errorf("%w: local-endpoint is required: set --local-endpoint to the address of the host of serve", peer.ErrConfig)
	case strings.Contains(host, ":") && net.ParseIP(host) == nil:
		return "", fmt.Errorf("%w: --local-endpoint %q is not a host or an address, without a scheme and a port", peer.ErrConfig, d.endpoint)
	}
	port := d.port
	if port == "" {
		port = peerPort
	}
	return net.JoinHostPort(host, port), nil
}
