package member_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// refusal is one way in which a connection to a member fails.
type refusal struct {
	name string
	cfg  member.Config
	want []string // words of the error, besides the endpoint
}

// Every failure is one line that names the endpoint and says what to check.
func TestRefusalsWithoutTLS(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			here := plain(c)
			stranger, err := etcdtest.NewAuthority(t.TempDir())
			must(t, err)
			overTLS := here
			overTLS.CACert = stranger.CACert
			impatient := at(here, silentPort(t))
			impatient.Timeout = 500 * time.Millisecond
			for _, r := range []refusal{
				{"down", at(here, closedPort(t)), []string{"connection refused", "is etcd running"}},
				{"https to http", overTLS, []string{"plain http", "remove --cacert"}},
				{"https:// and a CA to http", at(overTLS, "https://"+strings.TrimPrefix(here.Endpoints[0], "http://")), []string{"write http://, and remove --cacert"}},
				{"https:// to http", at(here, "https://"+strings.TrimPrefix(here.Endpoints[0], "http://")), []string{"plain http", "write http://, or only HOST:PORT"}},
				{"https to http, reset", at(overTLS, resettingPort(t)), []string{"plain http", "remove --cacert"}},
				{"silent", impatient, []string{"no answer in time"}},
				{"silent with TLS", withCA(impatient, stranger.CACert), []string{"no answer in time"}},
			} {
				r.demand(t)
			}
		})
	}
}

func TestRefusalsWithTLS(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, TLS: true, UnsafeNoFsync: true})
			here := mutual(c)
			stranger, err := etcdtest.NewAuthority(t.TempDir())
			must(t, err)
			namesake, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), filepath.Base(c.PKI.Dir)))
			must(t, err)
			expired, err := c.PKI.IssueExpired()
			must(t, err)
			for _, r := range []refusal{
				{"http to https", plain(c), []string{"it requires TLS and does not speak plain http", "set --cacert, and --cert and --key"}},
				{"http:// to https", at(plain(c), "http://"+c.Members[0].Endpoint), []string{"write https:// and set --cacert"}},
				{"no CA of the server", at(plain(c), "https://"+c.Members[0].Endpoint), []string{"set --cacert to the CA of etcd's"}},
				{"unknown CA of the server", withCA(here, stranger.CACert), []string{"signed by unknown authority", "--cacert is not the CA"}},
				{"no client certificate", withPair(here, etcdtest.KeyPair{}), []string{"client certificate", "--cert and --key"}},
				{"expired client certificate", withPair(here, expired), []string{"--cert", "expired"}},
				{"client certificate of another CA", withPair(here, stranger.Client), []string{"--cert", "CA"}},
				{"and of the same name", withPair(here, namesake.Client), []string{"--cert", "CA"}},
				{"address that is not in the certificate", at(here, elsewhere(t, c.Members[0].Endpoint)), []string{"certificate is valid for 127.0.0.1", "is not valid for this endpoint"}},
			} {
				r.demand(t)
			}
		})
	}
}

func TestRefusalsWithUsers(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			_, err := client.UserAdd(t.Context(), "reader", "reader's")
			must(t, err)
			_, err = client.RoleAdd(t.Context(), "read")
			must(t, err)
			_, err = client.UserGrantRole(t.Context(), "reader", "read")
			must(t, err)
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			for _, r := range []refusal{
				{"no user", plain(c), []string{"authentication enabled", "set --user and --password-file"}},
				{"unknown user", as(plain(c), "nobody", "x"), []string{"wrong --user or password"}},
				{"wrong password", as(plain(c), "root", "open barley"), []string{"wrong --user or password"}},
				{"user without the role root", as(plain(c), "reader", "reader's"), []string{"permission denied", "role root"}},
			} {
				r.demand(t)
			}
			if _, err := download(t.Context(), connect(t, as(plain(c), "root", "open sesame"))); err != nil {
				t.Errorf("Stream for root: %v", err)
			}
		})
	}
}

// demand calls Connect and Stream; one of them must fail with the words.
func (r refusal) demand(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), r.cfg.Timeout+time.Minute)
	defer cancel()
	began := time.Now()
	m, err := member.Connect(ctx, r.cfg)
	what := "Connect"
	if err == nil {
		what = "Stream"
		_, err = download(ctx, m)
		must(t, m.Close())
	}
	took := time.Since(began).Round(time.Millisecond)
	t.Logf("%-36s %s, %s: %v", r.name, what, took, err)
	switch {
	case err == nil:
		t.Errorf("%s: no error", r.name)
		return
	case ctx.Err() != nil:
		t.Errorf("%s: not bounded by Timeout", r.name)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: more than one line: %q", r.name, err)
	}
	for _, word := range r.want {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q is not in: %v", r.name, word, err)
		}
	}
	if r.cfg.Password != "" && strings.Contains(err.Error(), string(r.cfg.Password)) && len(r.cfg.Password) > 3 {
		t.Errorf("%s: the password is in: %v", r.name, err)
	}
}

func withCA(cfg member.Config, file string) member.Config {
	cfg.CACert = file
	return cfg
}

func withPair(cfg member.Config, pair etcdtest.KeyPair) member.Config {
	cfg.Cert, cfg.Key = pair.Cert, pair.Key
	return cfg
}

func as(cfg member.Config, user string, password member.Secret) member.Config {
	cfg.User, cfg.Password = user, password
	return cfg
}
