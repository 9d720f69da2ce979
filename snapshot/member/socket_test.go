package member_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// Each version listens on a socket, plain and with TLS; a snapshot comes through it, in each form of the endpoint.
func TestConnectToSocket(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Run(t, etcdtest.Options{Version: version, Sockets: true, UnsafeNoFsync: true})
			path := strings.TrimPrefix(c.Members[0].Socket, "unix://")
			want := connect(t, plain(c)).Source().MemberID
			for _, endpoint := range []string{"unix://" + path, "unix:" + path, "unix:" + relative(t, path), "unix://" + relative(t, path)} {
				m := connect(t, at(plain(c), endpoint))
				if id := m.Source().MemberID; id != want || !strings.HasPrefix(m.Endpoint(), "unix:") {
					t.Errorf("%s: member %s at %s, want %s", endpoint, id, m.Endpoint(), want)
				}
				if n, err := download(t.Context(), m); err != nil || n == 0 {
					t.Errorf("%s: %d bytes, %v", endpoint, n, err)
				}
			}
			// A CA that is set for other members does not matter for a plain socket.
			connect(t, withCA(at(plain(c), "unix://"+path), "/none"))

			c = etcdtest.Run(t, etcdtest.Options{Version: version, Sockets: true, UnsafeNoFsync: true, TLS: true})
			m := connect(t, at(mutual(c), c.Members[0].Socket))
			if n, err := download(t.Context(), m); err != nil || n == 0 {
				t.Errorf("with TLS: %d bytes, %v", n, err)
			}
		})
	}
}

// relative is the path from the working directory.
func relative(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	path, err = filepath.Rel(dir, path)
	must(t, err)
	return path
}

// A socket that does not work is explained as a socket.
func TestSocketErrorsAreExplained(t *testing.T) {
	secure := etcdtest.Run(t, etcdtest.Options{Sockets: true, UnsafeNoFsync: true, TLS: true})
	open := etcdtest.Run(t, etcdtest.Options{Sockets: true, UnsafeNoFsync: true})
	path := func(c *etcdtest.Cluster) string {
		_, path, _ := strings.Cut(c.Members[0].Socket, "://")
		return path
	}
	other := filepath.Join(t.TempDir(), "etcd.sock")
	must(t, os.Symlink(path(secure), other))
	abandoned := filepath.Join(t.TempDir(), "abandoned")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: abandoned})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())

	here, err := os.Getwd()
	must(t, err)
	none := member.Config{Timeout: silenceLimit}
	for _, x := range []struct {
		name string
		cfg  member.Config
		want string
	}{
		{"no file", at(none, "unix:///run/none/etcd.sock"), "at unix:///run/none/etcd.sock: /run/none/etcd.sock: no such file or directory (is etcd running"},
		{"no file for a login", member.Config{Endpoints: []string{"unix:///run/none"}, User: "root", Password: "x", Timeout: silenceLimit}, ": /run/none: no such file or directory (is"},
		{"no file at a relative path", at(none, "unix://etcd.sock"), ": " + filepath.Join(here, "etcd.sock") + ": no such file or directory (is"},
		{"no directory", at(none, "unix://"+other+"/etcd.sock"), ": " + other + "/etcd.sock: no such file or directory (is"},
		{"a directory", at(none, "unix://"+here), here + " is a directory and not a socket"},
		{"another file", at(none, "unixs://"+here+"/socket_test.go"), here + "/socket_test.go is a file and not a socket"},
		{"nobody listens", at(none, "unix://"+abandoned), "is etcd running and listening there?"},
		{"TLS where plain is asked", at(none, "unix://"+path(secure)), "write unixs: instead of unix:"},
		{"plain where TLS is asked", withCA(at(none, "unixs://"+path(open)), secure.PKI.CACert), "write unix: instead of unixs:"},
		{"no client certificate", withCA(at(none, "unixs://"+path(secure)), secure.PKI.CACert), "set --cert and --key"},
		{"another file name", at(mutual(secure), "unixs://"+other), "a certificate with the name of the socket's file"},
	} {
		m, err := member.Connect(t.Context(), x.cfg)
		if m != nil || err == nil || !errors.Is(err, member.ErrConnect) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
}

func TestPathOfASocketThatIsTooLongIsRefused(t *testing.T) {
	err := at(member.Config{}, "unix:///"+strings.Repeat("x", 107)).Check()
	if !errors.Is(err, member.ErrConfig) || !strings.Contains(err.Error(), "the system allows 107") {
		t.Error(err)
	}
	if err := at(member.Config{}, "unix:///"+strings.Repeat("x", 106)).Check(); err != nil {
		t.Error(err)
	}
}
