package command

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// serve prints a command for each other member that can be pasted there, with an address that leads to this node.
func TestServePrintsACommandForEachOtherMember(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	hostName, err := os.Hostname()
	must(t, err)
	members := []snapshot.Member{
		{Name: "a", PeerURLs: []string{"https://127.0.0.1:2380"}},
		{Name: "it's b", PeerURLs: []string{"https://127.0.0.2:2380"}},
		{Name: "learner", PeerURLs: []string{"https://127.0.0.3:2380"}, Learner: true},
		{PeerURLs: []string{"https://127.0.0.4:2380"}},
	}
	c := &call{cfg: config.Config{Etcd: config.Etcd{CACert: "/etc/etcd/ca.crt", Cert: "/my etcd/cert", Key: "/etc/etcd/key"}}}
	flags := " --cacert /etc/etcd/ca.crt --cert '/my etcd/cert' --key /etc/etcd/key"
	for given, want := range map[string][]string{
		"127.0.0.1:0": {"--peer 127.0.0.1:" + port + flags + ` --name 'it'\''s b'`},
		":0":          {"--peer " + hostName + ":" + port + flags + " --name a", "--peer " + hostName + ":" + port + flags + ` --name 'it'\''s b'`},
	} {
		got := c.fetchCommands(t.Context(), members, l, given)
		for i, w := range want {
			want[i] = program + " restore " + w
		}
		if !slices.Equal(got, want) {
			t.Errorf("--serve-on %s:\n%s\nwant\n%s", given, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", strings.Join(got, "\n")).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	if got := c.fetchCommands(t.Context(), members[:1], l, "127.0.0.1:0"); len(got) != 1 || strings.Contains(got[0], "--name") {
		t.Errorf("no other member: %q", got)
	}
}
