package member_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

func TestCheck(t *testing.T) {
	secure := member.Config{CACert: "ca.crt"}
	for _, x := range []struct {
		cfg  member.Config
		want string // a piece of the error; empty for none
	}{
		{member.Config{}, "--endpoints is empty"},
		{at(member.Config{}, "127.0.0.1:2379"), ""},
		{at(member.Config{}, "http://127.0.0.1:2379", "https://[::1]:2379"), ""},
		{at(member.Config{}, "localhost:2379/"), ""},
		{at(secure, "127.0.0.1:2379"), ""},
		{at(secure, "https://node-a.example:2379"), ""},
		{at(secure, "http://node-a.example:2379"), "plain http"},
		{at(member.Config{}, "127.0.0.1"), "is not HOST:PORT"},
		{at(member.Config{}, ":2379"), "is not HOST:PORT"},
		{at(member.Config{}, "ftp://127.0.0.1:2379"), "is not HOST:PORT"},
		{at(member.Config{}, "127.0.0.1:2379", ""), "is not HOST:PORT"},
		{at(member.Config{}, "http://a b:2379"), "is not HOST:PORT"},
		{at(member.Config{}, "unix:///run/etcd.sock", "unix:etcd.sock", "unix://localhost:2379", "unixs:///run/etcd@1.sock"), ""},
		{at(secure, "unix:///run/etcd.sock"), ""},
		{at(member.Config{}, "unix://"), "has no path of a socket: write unix:///PATH"},
		{at(member.Config{}, "unixs:"), "has no path of a socket: write unixs:///PATH"},
		{at(member.Config{}, "unix:///run/"), "has no path of a socket"},
		{at(member.Config{}, "unixx:///run/etcd.sock"), "is not HOST:PORT"},
		{at(member.Config{Cert: "a.crt"}, "127.0.0.1:2379"), "--cert and --key go together"},
		{at(member.Config{Key: "a.key"}, "127.0.0.1:2379"), "--cert and --key go together"},
	} {
		err := x.cfg.Check()
		switch {
		case x.want == "" && err != nil:
			t.Errorf("Check of %+v: %v", x.cfg, err)
		case x.want != "" && (!errors.Is(err, member.ErrConfig) || !strings.Contains(err.Error(), x.want)):
			t.Errorf("Check of %+v: %v, want ErrConfig with %q", x.cfg, err, x.want)
		}
	}
}

// No verb of fmt and no nesting prints a secret.
func TestSecretPrintsAsStars(t *testing.T) {
	const secret = "open sesame"
	cfg := member.Config{User: "root", Password: secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		for _, v := range []any{cfg, &cfg, cfg.Password, []member.Secret{secret}, map[string]member.Secret{"a": secret}} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of a %T shows the secret: %s", verb, v, text)
			}
		}
	}
	if text, err := json.Marshal(cfg); err != nil || strings.Contains(string(text), secret) {
		t.Errorf("JSON shows the secret: %s, %v", text, err)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", cfg.Password, cfg.Password, cfg.Password, cfg.Password); got != "*** *** *** ***" {
		t.Errorf("a secret prints as %q", got)
	}
}

// Errors in certificate files name the flag and the file, and do not quote the content.
func TestCertificateFiles(t *testing.T) {
	pki, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	must(t, os.WriteFile(rubbish, []byte("open sesame"), 0o600))
	missing := filepath.Join(t.TempDir(), "missing")
	good := at(member.Config{CACert: pki.CACert, Timeout: answerLimit}, closedPort(t))
	for _, r := range []refusal{
		{"missing CA", withCA(good, missing), []string{"--cacert", missing}},
		{"CA that is none", withCA(good, rubbish), []string{"--cacert", rubbish}},
		{"missing certificate", withPair(good, etcdtest.KeyPair{Cert: missing, Key: pki.Client.Key}), []string{"--cert " + missing}},
		{"certificate that is none", withPair(good, etcdtest.KeyPair{Cert: rubbish, Key: pki.Client.Key}), []string{"--cert " + rubbish}},
		{"key that is none", withPair(good, etcdtest.KeyPair{Cert: pki.Client.Cert, Key: rubbish}), []string{"--key " + rubbish}},
		{"key with a passphrase", withPair(good, etcdtest.KeyPair{Cert: pki.Client.Cert, Key: "../keyfile/testdata/pkcs8.key"}), []string{"pkcs8.key has a passphrase", "openssl pkey"}},
		{"key of another certificate", withPair(good, etcdtest.KeyPair{Cert: pki.Client.Cert, Key: pki.Peer.Key}), []string{"--key " + pki.Peer.Key, "does not match"}},
	} {
		r.demand(t)
	}
}

func TestCertificatesTellTheirEnd(t *testing.T) {
	pki, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	until := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	pair, err := pki.IssueClient("short", time.Now().Add(-time.Hour), until)
	must(t, err)
	// Of a file with two certificates, the one that expires first counts.
	first, err := os.ReadFile(pki.Client.Cert)
	must(t, err)
	second, err := os.ReadFile(pair.Cert)
	must(t, err)
	must(t, os.WriteFile(pair.Cert, append(first, second...), 0o600))

	certs, err := member.Config{CACert: pki.CACert, Cert: pair.Cert, Key: pair.Key}.Certificates()
	must(t, err)
	if len(certs) != 2 || certs[0].Flag != "cacert" || certs[1].Flag != "cert" || !certs[1].NotAfter.Equal(until) {
		t.Errorf("certificates %+v, want the CA's and one that ends %s", certs, until)
	}
	if certs, err := (member.Config{}).Certificates(); err != nil || len(certs) != 0 {
		t.Errorf("without files: %v, %v", certs, err)
	}
	for _, cfg := range []member.Config{{CACert: pki.Client.Key}, {CACert: filepath.Join(pki.Dir, "missing")}} {
		if _, err := cfg.Certificates(); err == nil || !strings.Contains(err.Error(), "--cacert") {
			t.Errorf("Certificates of %s: %v", cfg.CACert, err)
		}
	}
}
