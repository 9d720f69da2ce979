package member

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/handshake"
)

// Sighting is what was seen of a member that runs.
type Sighting struct {
	Member snapshot.Member
	URL    string
	// Answered: it sent its status. Otherwise a server was seen there that speaks TLS or gRPC, and the other fields are unknown.
	Answered  bool
	Leader    bool        // it knows a leader, so most members of its cluster run
	ClusterID snapshot.ID // of the cluster that it is in now
}

// Survey asks all members at the same time whether they run, and returns those that do, in the same order. It works while certificates are
// missing or wrong: it sends no secret, accepts any server certificate, and a server that demands a certificate is seen too. A paused
// member, and one that waits for others before it starts, does not answer. timeout limits all of it.
func Survey(ctx context.Context, c Config, members []snapshot.Member, timeout time.Duration) []Sighting {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cfg := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	if given, err := c.tlsConfig(); err == nil {
		cfg.Certificates = given.Certificates
	}
	seen := make([][]Sighting, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		seen[i] = make([]Sighting, len(m.ClientURLs))
		for j, text := range m.ClientURLs {
			if u, err := url.Parse(text); err == nil && isOf(u, m, members) {
				group.Go(func() { seen[i][j] = see(ctx, u, cfg) })
			}
		}
	}
	group.Wait()
	var running []Sighting
	for i, m := range members {
		best := slices.IndexFunc(seen[i], func(s Sighting) bool { return s.Answered })
		if best < 0 {
			best = slices.IndexFunc(seen[i], func(s Sighting) bool { return s.URL != "" })
		}
		if best >= 0 {
			s := seen[i][best]
			s.Member = m
			running = append(running, s)
		}
	}
	return running
}

// isOf reports whether a client URL leads to this member and no other: some clusters advertise the same URL for all, as localhost.
func isOf(u *url.URL, m snapshot.Member, members []snapshot.Member) bool {
	if ip := net.ParseIP(u.Hostname()); u.Port() == "" || u.Scheme != "http" && u.Scheme != "https" || ip != nil && ip.IsUnspecified() {
		return false
	}
	return !slices.ContainsFunc(members, func(other snapshot.Member) bool {
		return other.ID != m.ID && slices.Contains(other.ClientURLs, u.String())
	})
}

// see returns a sighting without a URL if nothing was seen.
func see(ctx context.Context, u *url.URL, cfg *tls.Config) Sighting {
	creds := insecure.NewCredentials()
	if u.Scheme == "https" {
		creds = credentials.NewTLS(cfg.Clone())
	}
	conn, err := grpc.NewClient("passthrough:///"+u.Host, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		return Sighting{}
	}
	defer conn.Close()
	r, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	switch status.Code(err) {
	case codes.OK:
		return Sighting{URL: u.String(), Answered: true, Leader: r.GetLeader() != 0, ClusterID: snapshot.ID(r.GetHeader().GetClusterId())}
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		if !handshake.SpeaksTLS(ctx, "tcp", u.Host) {
			return Sighting{}
		}
	default: // a refusal, for example without a login
	}
	return Sighting{URL: u.String()}
}
