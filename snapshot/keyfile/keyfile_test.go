package keyfile_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/keyfile"
)

const mark = "\xef\xbb\xbf"

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// editions are what editors of other systems make of a text.
func editions() map[string]func(string) string {
	windows := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	return map[string]func(string) string{
		"as it is":           func(s string) string { return s },
		"with a mark":        func(s string) string { return mark + s },
		"of Windows":         func(s string) string { return mark + windows(s) },
		"with line ends":     windows,
		"with blanks after":  func(s string) string { return strings.ReplaceAll(s, "\n", " \t\n") + "\n\n  " },
		"without a last one": func(s string) string { return strings.TrimSuffix(s, "\n") },
		"with text before":   func(s string) string { return "Bag Attributes\n  friendlyName: etcd\n" + s },
	}
}

func TestPairIsReadInEachEdition(t *testing.T) {
	pki, err := etcdtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range editions() {
		cert, key := write(t, edit(read(t, pki.Client.Cert))), write(t, edit(read(t, pki.Client.Key)))
		if pair, err := keyfile.Pair(cert, key); err != nil || len(pair.Certificate) != 1 {
			t.Errorf("%s: %d certificates, %v", name, len(pair.Certificate), err)
		}
	}
}

// Two files with a mark each, joined to a bundle: the second certificate is not lost.
func TestEachCertificateOfAJoinedFileIsRead(t *testing.T) {
	pki, err := etcdtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := keyfile.PEM(write(t, mark+read(t, pki.CACert)+mark+read(t, pki.Client.Cert)))
	if err != nil {
		t.Fatal(err)
	}
	pool, want := x509.NewCertPool(), x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	want.AppendCertsFromPEM([]byte(read(t, pki.CACert)))
	want.AppendCertsFromPEM([]byte(read(t, pki.Client.Cert)))
	if !pool.Equal(want) {
		t.Error("not both certificates are in the pool")
	}
}

// Both forms of OpenSSL, in each edition: the error says what is wrong and how to fix it, and does not show the key.
func TestKeyWithAPassphraseIsCalledThat(t *testing.T) {
	pki, err := etcdtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"testdata/pkcs8.key", "testdata/legacy.key"} {
		for name, edit := range editions() {
			key := write(t, edit(read(t, form)))
			_, err := keyfile.Pair(pki.Client.Cert, key)
			if !errors.Is(err, keyfile.ErrPassphrase) || !strings.Contains(err.Error(), "openssl pkey -in "+key+" -out") {
				t.Errorf("%s %s: %v", form, name, err)
			}
		}
	}
	// A certificate and its key in one file, as HAProxy has them.
	both := write(t, read(t, pki.Client.Cert)+read(t, "testdata/pkcs8.key"))
	if _, err := keyfile.Pair(both, both); !errors.Is(err, keyfile.ErrPassphrase) {
		t.Errorf("in one file: %v", err)
	}
}

func TestTextHasNoMarkAndUTF16IsRefused(t *testing.T) {
	if text, err := keyfile.Text(write(t, mark+"sesame"+mark)); err != nil || !bytes.Equal(text, []byte("sesame"+mark)) {
		t.Errorf("%q, %v", text, err)
	}
	for _, text := range []string{"\xff\xfes\x00", "\xfe\xff\x00s"} {
		path := write(t, text)
		if _, err := keyfile.Text(path); !errors.Is(err, keyfile.ErrEncoding) || !strings.Contains(err.Error(), path+" is UTF-16 text: save it as UTF-8") {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := keyfile.Pair(path, path); !errors.Is(err, keyfile.ErrEncoding) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := keyfile.Text("testdata/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
