package restore

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"

	"etcd-rolling-backup/snapshot"
)

// ErrCluster marks a list of members that cannot form a cluster.
var ErrCluster = errors.New("invalid cluster")

// The name of a restored member if nothing else is given, as in etcdutl.
const (
	defaultName    = "default"
	defaultPeerURL = "http://localhost:2380"
)

// MemberMode says where the restored cluster's members come from if there is no InitialCluster.
type MemberMode string

const (
	// Recorded uses the members that the snapshot records.
	Recorded MemberMode = "recorded"
	// Single makes a cluster of one member with a peer URL at localhost, as etcdutl does by default.
	Single MemberMode = "single"
)

// Identity says which member of which cluster is restored. Its fields have the meaning of etcdutl's flags. Empty fields are
// filled in from each other and from what the snapshot records.
type Identity struct {
	Name           string     // of this member
	InitialCluster string     // name=peerURL,…
	PeerURLs       []string   // of this member; if empty, those in the cluster's member list
	Token          string     // "": derived from the snapshot, so that members restored from different snapshots never form a cluster
	Members        MemberMode // "": Recorded if the snapshot records members, otherwise Single
}

// Peer is a member of the restored cluster.
type Peer struct {
	Name string
	URLs []string // peer URLs
}

// Cluster is the cluster to restore.
type Cluster struct {
	Name    string // of this member
	Token   string
	Peers   []Peer
	LeftOut []string // recorded members that are not part of it, with the reason
}

// Initial returns the cluster in the form of --initial-cluster.
func (c Cluster) Initial() string {
	var parts []string
	for _, p := range c.Peers {
		for _, u := range p.URLs {
			parts = append(parts, p.Name+"="+u)
		}
	}
	return strings.Join(parts, ",")
}

// ID returns the ID that etcd computes for the cluster from its members and token.
func (c Cluster) ID() (snapshot.ID, error) {
	urls, err := types.NewURLsMap(c.Initial())
	if err != nil {
		return 0, fmt.Errorf("compute the cluster ID: %w", err)
	}
	built, err := membership.NewClusterFromURLsMap(zap.NewNop(), c.Token, urls)
	if err != nil {
		return 0, fmt.Errorf("compute the cluster ID: %w", err)
	}
	return snapshot.ID(built.ID()), nil
}

// URLs returns the peer URLs of this member.
func (c Cluster) URLs() []string {
	for _, p := range c.Peers {
		if p.Name == c.Name {
			return p.URLs
		}
	}
	return nil
}

func (c Cluster) names() string {
	var names []string
	for _, p := range c.Peers {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// cluster decides by what is given and recorded. Errors wrap ErrCluster and name the flag.
func (id Identity) cluster(recorded []snapshot.Member) (Cluster, error) {
	c := Cluster{Name: id.Name, Token: id.Token}
	mode := id.Members
	if mode == "" && len(recorded) == 0 {
		mode = Single
	}
	switch {
	case id.InitialCluster != "":
		if err := c.parse(id.InitialCluster); err != nil {
			return c, err
		}
	case mode == Single || mode == "" && len(id.PeerURLs) > 0:
		urls := id.PeerURLs
		if len(urls) == 0 {
			urls = []string{defaultPeerURL}
		}
		c.Name = cmp.Or(c.Name, defaultName)
		c.Peers = []Peer{{Name: c.Name, URLs: urls}}
	default:
		if err := c.record(recorded); err != nil {
			return c, err
		}
	}
	return c, c.check(id.PeerURLs)
}

// parse reads the flag as etcd does.
func (c *Cluster) parse(list string) error {
	m, err := types.NewURLsMap(list)
	if err != nil {
		return fmt.Errorf("%w: --initial-cluster: %w (example: a=https://10.0.0.1:2380,b=https://10.0.0.2:2380)", ErrCluster, err)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		c.Peers = append(c.Peers, Peer{Name: name, URLs: m[name].StringSlice()})
	}
	c.Name = cmp.Or(c.Name, defaultName)
	return nil
}

// record uses the voting members of the snapshot's cluster.
func (c *Cluster) record(members []snapshot.Member) error {
	for _, m := range members {
		switch {
		case m.Name == "":
			c.LeftOut = append(c.LeftOut, fmt.Sprintf("%s (it never started)", m.ID))
		case m.Learner:
			c.LeftOut = append(c.LeftOut, m.Name+" (a learner: add it again when the cluster runs)")
		default:
			c.Peers = append(c.Peers, Peer{Name: m.Name, URLs: slices.Clone(m.PeerURLs)})
		}
	}
	slices.SortFunc(c.Peers, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	switch {
	case len(c.Peers) == 0:
		return fmt.Errorf("%w: the snapshot records no voting member: set --initial-cluster, or --members single", ErrCluster)
	case c.Name == "" && len(c.Peers) == 1:
		c.Name = c.Peers[0].Name
	case c.Name == "":
		return fmt.Errorf("%w: the snapshot records the members %s: use --name to say which one this node is, or --members single for a cluster of one", ErrCluster, c.names())
	}
	return nil
}

// check refuses in our words what etcd would refuse, and what it would accept and never start with.
func (c *Cluster) check(given []string) error {
	owner := map[string]string{}
	mine := false
	for i, p := range c.Peers {
		if p.Name == "" {
			return fmt.Errorf("%w: --initial-cluster: a member has no name (example: a=https://10.0.0.1:2380,b=https://10.0.0.2:2380)", ErrCluster)
		}
		if i > 0 && c.Peers[i-1].Name == p.Name {
			return fmt.Errorf("%w: two members have the name %s: set --initial-cluster", ErrCluster, p.Name)
		}
		for _, u := range p.URLs {
			if err := checkURL(p.Name, u); err != nil {
				return err
			}
			if other, taken := owner[u]; taken {
				return fmt.Errorf("%w: two members have the peer URL %s: %s and %s", ErrCluster, u, other, p.Name)
			}
			owner[u] = p.Name
		}
		mine = mine || p.Name == c.Name
	}
	if !mine && c.Name == defaultName {
		return fmt.Errorf("%w: the members are %s: use --name to say which one this node is", ErrCluster, c.names())
	}
	if !mine {
		return fmt.Errorf("%w: --name %s is not among the members %s", ErrCluster, c.Name, c.names())
	}
	if len(given) > 0 && !sameURLs(given, c.URLs()) {
		return fmt.Errorf("%w: --initial-advertise-peer-urls %s differs from the member list for %s: %s",
			ErrCluster, strings.Join(given, ","), c.Name, strings.Join(c.URLs(), ","))
	}
	return nil
}

func checkURL(name, text string) error {
	u, err := url.Parse(text)
	if err == nil {
		_, err = types.NewURLs([]string{text})
	}
	if err != nil || u.Host == "" {
		return fmt.Errorf("%w: the peer URL %q of %s is invalid (example: https://10.0.0.1:2380)", ErrCluster, text, name)
	}
	return nil
}

func sameURLs(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
