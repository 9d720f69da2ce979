package etcdtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func wantValue(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	response, err := client.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(response.Kvs) != 1 || string(response.Kvs[0].Value) != value {
		t.Fatalf("get %s: got %v, want %q", key, response.Kvs, value)
	}
}

// Every version starts, is the version it claims, and its own tools agree on a snapshot of it.
func TestVersions(t *testing.T) {
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			c := Run(t, Options{Version: version})
			client := Dial(t, c)
			put(t, client, "a", "1")
			put(t, client, "a", "2")
			wantValue(t, client, "a", "2")

			status, err := client.Status(t.Context(), c.Members[0].ClientURL)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(status.Version, version+".") {
				t.Errorf("server says version %s, want %s", status.Version, version)
			}
			path := filepath.Join(t.TempDir(), "snapshot.db")
			if _, err := c.Members[0].Etcdctl(t.Context(), "snapshot", "save", path); err != nil {
				t.Fatal(err)
			}
			got, err := Status(t.Context(), version, path)
			if err != nil {
				t.Fatal(err)
			}
			if got.Revision != 3 || got.Hash == 0 || got.TotalKey == 0 || got.TotalSize == 0 {
				t.Errorf("snapshot status: %+v, want revision 3 and no other zero", got)
			}
		})
	}
}

func TestThreeMembersWithTLS(t *testing.T) {
	c := Run(t, Options{Members: 3, TLS: true, UnsafeNoFsync: true})
	client := Dial(t, c)
	put(t, client, "a", "1")
	for _, m := range c.Members {
		one, err := m.Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantValue(t, one, "a", "1")
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	out, err := c.Etcdctl(t.Context(), "member", "list")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "started"); n != 3 {
		t.Errorf("etcdctl lists %d started members, want 3:\n%s", n, out)
	}

	// The quorum is lost, and the whole cluster comes back.
	for _, m := range c.Members[:2] {
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValue(t, client, "a", "1")
}

// A server with TLS refuses clients without a certificate, with an expired one and with one of another authority.
func TestRefusedCertificates(t *testing.T) {
	c := Run(t, Options{TLS: true})
	expired, err := c.PKI.IssueExpired()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, authority := range map[string]Authority{
		"own":     *c.PKI,
		"expired": {Client: expired, cert: c.PKI.cert},
		"foreign": {Client: stranger.Client, cert: c.PKI.cert},
		"CA":      {Client: c.PKI.Client, cert: stranger.cert},
	} {
		config, err := authority.TLSConfig()
		if err != nil {
			t.Fatal(err)
		}
		limit := 2 * time.Second
		if name == "own" {
			limit = time.Minute
		}
		err = tryTLS(t.Context(), c, config, limit)
		if accepted := err == nil; accepted != (name == "own") {
			t.Errorf("%s certificate: %v", name, err)
		}
	}
}

func TestAuth(t *testing.T) {
	c := Run(t, Options{})
	before := Dial(t, c)
	put(t, before, "a", "1")
	if err := c.EnableAuth(t.Context(), "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Get(t.Context(), "a"); err == nil {
		t.Error("a client without a user still reads")
	}
	wantValue(t, Dial(t, c), "a", "1")
	if out, err := c.Etcdctl(t.Context(), "get", "a", "--print-value-only"); err != nil || string(out) != "1\n" {
		t.Errorf("etcdctl get a: %q, %v", out, err)
	}
	if err := c.Members[0].Restart(t.Context()); err != nil {
		t.Error(err)
	}
	learner, err := c.AddLearner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := learner.Client(t.Context()); err == nil || !strings.Contains(err.Error(), "not supported for learner") {
		t.Errorf("log in at a learner: %v, want a refusal", err)
	}
}

// A learner joins one member of the oldest version, and three with TLS.
func TestLearner(t *testing.T) {
	for name, options := range map[string]Options{
		"one member":    {Version: "3.4"},
		"three members": {Members: 3, TLS: true, UnsafeNoFsync: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := Run(t, options)
			put(t, Dial(t, c), "a", "1")
			learner, err := c.AddLearner(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			client, err := learner.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			status, err := client.Status(t.Context(), learner.ClientURL)
			if err != nil || !status.IsLearner {
				t.Errorf("status of the learner: %v, %v", status, err)
			}
			response, err := client.Get(t.Context(), "a", clientv3.WithSerializable())
			if err != nil || len(response.Kvs) != 1 {
				t.Errorf("the learner has not caught up: %v, %v", response, err)
			}
		})
	}
}

func TestStopRemovesEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := c.Members[0].PID()
	if err := c.Members[0].Pause(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
	if alive(pid) {
		t.Errorf("process %d is alive after Stop", pid)
	}
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is left after Stop: %v", c.Dir, err)
	}
}
