package etcdtest

import (
	"runtime"

	"etcd-rolling-backup/internal/proctest"
)

// Member is one etcd server. Its fields are for reading; its methods may be called from several goroutines.
// The name in the embedded Server is node1, node2, node3; learner1, ... Its log is in JSON lines. Pause, Resume, Kill, Stop and
// Restart act on this process only. Restart of one member needs a quorum: if several members are down, use [Cluster.Restart].
type Member struct {
	proctest.Server
	ClientURL string // http://127.0.0.1:port, or https
	PeerURL   string // likewise
	Endpoint  string // the client URL's 127.0.0.1:port
	Socket    string // unix:///PATH, or unixs:///PATH, with a file called localhost:1 for its certificate; empty without Options.Sockets
	DataDir   string // etcd's --data-dir

	cluster *Cluster
}

// cleanEnv is the environment without the variables that set flags of etcd and etcdctl.
func cleanEnv() []string {
	env := proctest.Environ("ETCD_", "ETCDCTL_")
	if runtime.GOARCH != "amd64" { // etcd 3.4 starts on other architectures only with this variable
		env = append(env, "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	}
	return env
}
