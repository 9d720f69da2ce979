package restore

import (
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot"
)

func voter(name, url string) snapshot.Member {
	return snapshot.Member{ID: snapshot.ID(len(name) + int(name[len(name)-1])), Name: name, PeerURLs: strings.Split(url, ",")}
}

// The members of the restored cluster, and which of them this node is, from the flags and from the snapshot.
func TestCluster(t *testing.T) {
	one := []snapshot.Member{voter("a", "https://h1:2380")}
	three := []snapshot.Member{voter("c", "https://h3:2380"), voter("a", "https://h1:2380"), voter("b", "https://h2:2380")}
	all := "a=https://h1:2380,b=https://h2:2380,c=https://h3:2380"
	learner := append([]snapshot.Member{{ID: 9, Name: "l", PeerURLs: []string{"https://h9:2380"}, Learner: true}}, one...)
	unnamed := append([]snapshot.Member{{ID: 0xabc, PeerURLs: []string{"https://h8:2380"}}}, one...)
	twice := []snapshot.Member{voter("a", "https://h1:2380"), voter("a", "https://h2:2380")}
	same := []snapshot.Member{voter("a", "https://h1:2380"), voter("b", "https://h1:2380")}
	for _, x := range []struct {
		what     string
		id       Identity
		recorded []snapshot.Member
		name     string
		initial  string
		left     string
		words    string // of the error; "": none
	}{
		{"one recorded", Identity{}, one, "a", "a=https://h1:2380", "", ""},
		{"one recorded, named", Identity{Name: "a", Members: Recorded}, one, "a", "a=https://h1:2380", "", ""},
		{"three recorded", Identity{Name: "b"}, three, "b", all, "", ""},
		{"three recorded, no name", Identity{}, three, "", "", "", "members a, b, c: use --name to say"},
		{"three recorded, another name", Identity{Name: "d"}, three, "", "", "", "--name d is not among the members a, b, c"},
		{"two URLs of one", Identity{}, []snapshot.Member{voter("a", "https://h1:1,https://h1:2")}, "a", "a=https://h1:1,a=https://h1:2", "", ""},
		{"a learner", Identity{}, learner, "a", "a=https://h1:2380", "l (a learner", ""},
		{"this is the learner", Identity{Name: "l"}, learner, "", "", "", "--name l is not among the members a"},
		{"only a learner", Identity{}, learner[:1], "", "", "", "records no voting member"},
		{"one that never started", Identity{}, unnamed, "a", "a=https://h1:2380", "abc (it never started)", ""},
		{"two of a name", Identity{Name: "a"}, twice, "", "", "", "two members have the name a"},
		{"two at a URL", Identity{Name: "a"}, same, "", "", "", "two members have the peer URL https://h1:2380: a and b"},
		{"no URL", Identity{}, []snapshot.Member{voter("a", "")}, "", "", "", `peer URL "" of a`},

		{"nothing recorded", Identity{}, nil, "default", "default=http://localhost:2380", "", ""},
		{"nothing recorded, asked for", Identity{Members: Recorded}, nil, "", "", "", "records no voting member"},
		{"single", Identity{Members: Single}, three, "default", "default=http://localhost:2380", "", ""},
		{"single with a name", Identity{Members: Single, Name: "x"}, three, "x", "x=http://localhost:2380", "", ""},
		{"single at URLs", Identity{Name: "x", PeerURLs: []string{"https://h5:1"}}, three, "x", "x=https://h5:1", "", ""},
		{"recorded, at its own URL", Identity{Name: "a", PeerURLs: []string{"https://h1:2380"}, Members: Recorded}, three, "a", all, "", ""},
		{"recorded, at another", Identity{Name: "a", PeerURLs: []string{"https://h5:1"}, Members: Recorded}, three, "", "", "", "differs from the member list for a"},

		{"a list", Identity{Name: "y", InitialCluster: "y=http://h2:1,x=http://h1:1"}, three, "y", "x=http://h1:1,y=http://h2:1", "", ""},
		{"a list with default", Identity{InitialCluster: "default=http://h2:1"}, three, "default", "default=http://h2:1", "", ""},
		{"a list, no name", Identity{InitialCluster: "x=http://h2:1"}, three, "", "", "", "use --name to say"},
		{"a list, another URL", Identity{Name: "x", InitialCluster: "x=http://h2:1", PeerURLs: []string{"http://h3:1"}}, nil, "", "", "", "differs"},
		{"a list, the same URLs", Identity{Name: "x", InitialCluster: "x=http://h:2,x=http://h:1", PeerURLs: []string{"http://h:2", "http://h:1"}}, nil, "x", "x=http://h:1,x=http://h:2", "", ""},
		{"a list with a URL twice", Identity{Name: "x", InitialCluster: "x=http://h:1,y=http://h:1"}, nil, "", "", "", "two members have the"},
		{"a list with a member twice", Identity{Name: "x", InitialCluster: "x=http://h:1,x=http://h:1"}, nil, "", "", "", "two members have the"},
		{"a list without a name", Identity{Name: "x", InitialCluster: "=http://h:1"}, nil, "", "", "", "a member has no name"},
		{"a list without a URL", Identity{Name: "x", InitialCluster: "x="}, nil, "", "", "", "--initial-cluster"},
		{"a list that is none", Identity{Name: "x", InitialCluster: "x,y"}, nil, "", "", "", "--initial-cluster"},
		{"a URL with a path", Identity{Name: "x", InitialCluster: "x=http://h:1/path"}, nil, "", "", "", "--initial-cluster"},
	} {
		c, err := x.id.cluster(x.recorded)
		if x.words != "" {
			refused(t, x.what, err, ErrCluster, x.words)
			continue
		}
		if err != nil || c.Name != x.name || c.Initial() != x.initial || !strings.HasPrefix(strings.Join(c.LeftOut, ";"), x.left) || (x.left == "") != (c.LeftOut == nil) {
			t.Errorf("%s: %s of %s without %q, %v; want %s of %s without %q", x.what, c.Name, c.Initial(), c.LeftOut, err, x.name, x.initial, x.left)
		}
	}
}

// The token depends only on the bytes and the revision; a given one is used as it is.
func TestTokenDependsOnBytesAndRevision(t *testing.T) {
	a, b := given{data: database(t, 3)}, given{data: database(t, 4)}
	token := func(in Input, o Options) string {
		o.DataDir = t.TempDir() + "/data"
		p, err := Prepare(t.Context(), in, o, noon)
		must(t, err)
		p.Close()
		return p.Cluster.Token
	}
	first := token(a, Options{})
	if again := token(a, Options{Identity: Identity{Members: Single, Name: "other"}}); again != first {
		t.Errorf("the same snapshot has the tokens %s and %s", first, again)
	}
	if other := token(b, Options{}); other == first {
		t.Error("another snapshot has the same token")
	}
	if bumped := token(a, Options{BumpRevision: 5, MarkCompacted: true}); bumped == first {
		t.Error("another revision has the same token")
	}
	if own := token(a, Options{Identity: Identity{Token: "mine"}}); own != "mine" {
		t.Errorf("the token mine became %s", own)
	}
}
