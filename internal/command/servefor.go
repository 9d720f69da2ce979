package command

import (
	"context"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot"
)

// fetchCommands are the commands with which the other members restore the snapshot that is served here: one for each that the snapshot
// records, except the one at this node's address.
func (c *call) fetchCommands(ctx context.Context, members []snapshot.Member, l net.Listener, given string) (commands []string) {
	host, port, _ := net.SplitHostPort(l.Addr().String()) // every TCP listener has one
	if set, _, err := net.SplitHostPort(given); err != nil || set == "" || net.ParseIP(set).IsUnspecified() {
		host = ownAddress(ctx, members)
	}
	words := []string{
		program, "restore", "--peer", net.JoinHostPort(host, port),
		"--cacert", absolutePath(c.cfg.Etcd.CACert), "--cert", absolutePath(c.cfg.Etcd.Cert), "--key", absolutePath(c.cfg.Etcd.Key),
	}
	for _, m := range members {
		if m.Name != "" && !m.Learner && !slices.Contains(peerHosts([]snapshot.Member{m}), host) {
			commands = append(commands, printable.Command(append(words, "--name", m.Name)...))
		}
	}
	if commands == nil {
		commands = []string{printable.Command(words...)}
	}
	return commands
}

// ownAddress is where other members reach this node: the address from which it would send to one of them, or its host name. Nothing is sent.
func ownAddress(ctx context.Context, members []snapshot.Member) string {
	for _, host := range peerHosts(members) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "udp", net.JoinHostPort(host, defaultPeerPort))
		if err != nil {
			continue
		}
		from, _, err := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close() // nothing was written
		if ip := net.ParseIP(from); err == nil && ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() {
			return from
		}
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "HOST"
}

func peerHosts(members []snapshot.Member) (hosts []string) {
	for _, m := range members {
		for _, text := range m.PeerURLs {
			if u, err := url.Parse(text); err == nil {
				hosts = append(hosts, u.Hostname())
			}
		}
	}
	return hosts
}
