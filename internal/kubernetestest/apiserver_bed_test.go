//go:build kubernetes

package kubernetestest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

const (
	startLimit    = 2 * time.Minute
	startAttempts = 5
)

// apiServer is a kube-apiserver on top of an etcd.
type apiServer struct {
	proctest.Server
	*client
	pki *etcdtest.Authority // of the server and its clients
}

// runAPIServer starts one for a test and stops it at the end. It must be started after its etcd, so that it is stopped before.
func runAPIServer(t *testing.T, etcd *etcdtest.Cluster) *apiServer {
	t.Helper()
	program, err := proctest.Program("kube-apiserver")
	if err != nil {
		t.Fatalf("make test-kubernetes builds what this needs: %v", err)
	}
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki")) // Kubernetes has its own, which etcd doesn't know
	must(t, err)
	config, err := pki.TLSConfig()
	must(t, err)

	s := &apiServer{client: newClient(config), pki: pki}
	s.Name, s.Program, s.Env = "kube-apiserver", program, proctest.Environ("KUBE")
	s.LogPath = filepath.Join(t.TempDir(), "kube-apiserver.log")
	s.Probe = func(ctx context.Context) error { return s.do(ctx, http.MethodGet, "/readyz", nil, nil) }
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", s.Name, s.Tail(0))
		}
		must(t, s.Kill())
	})
	for range startAttempts {
		addresses, err := proctest.ReservePorts(1)
		must(t, err)
		s.base = "https://" + addresses[0]
		s.Args = serverFlags(addresses[0], pki, etcd)
		if err = s.boot(t); !errors.Is(err, proctest.ErrPortTaken) {
			must(t, err)
			return s
		}
	}
	t.Fatal("other processes took every port")
	return nil
}

// boot runs the server until it is ready.
func (s *apiServer) boot(t *testing.T) error {
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	return s.Restart(ctx)
}

// serverFlags are few: who comes with a certificate may do anything, and no endpoint of the cluster is looked after, which
// would need an address other than loopback.
func serverFlags(address string, pki *etcdtest.Authority, etcd *etcdtest.Cluster) []string {
	host, port, _ := net.SplitHostPort(address) // of ReservePorts, always right
	return []string{
		"--bind-address=" + host,
		"--secure-port=" + port,
		"--advertise-address=" + host,
		"--endpoint-reconciler-type=none",
		"--shutdown-watch-termination-grace-period=10s", // otherwise open watches hold up its end for a minute
		"--service-cluster-ip-range=10.96.0.0/24",
		"--etcd-servers=" + etcd.Members[0].ClientURL,
		"--etcd-cafile=" + etcd.PKI.CACert,
		"--etcd-certfile=" + etcd.PKI.Client.Cert,
		"--etcd-keyfile=" + etcd.PKI.Client.Key,
		"--client-ca-file=" + pki.CACert,
		"--tls-cert-file=" + pki.Server.Cert,
		"--tls-private-key-file=" + pki.Server.Key,
		"--authorization-mode=AlwaysAllow",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki.Peer.Cert, // any pair will do, nobody asks for a token
		"--service-account-signing-key-file=" + pki.Peer.Key,
	}
}
