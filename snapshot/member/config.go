// Package member talks to one etcd member: its identity, its state, and its snapshot stream.
//
// All information about a member and its whole stream use one connection to one endpoint. So a manifest always describes the
// member that its bytes came from.
package member

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"etcd-rolling-backup/snapshot/keyfile"
)

// ErrConfig marks settings that cannot work, whatever etcd does.
var ErrConfig = errors.New("etcd connection")

// ErrCertificate marks a certificate file that cannot be used.
var ErrCertificate = errors.New("certificate file")

// certificateErrorf returns an ErrCertificate that prints its text alone.
func certificateErrorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &callError{text: err.Error(), err: errors.Join(ErrCertificate, err)}
}

// Secret is a text that prints as asterisks.
type Secret string

const stars = "***"

// String hides the text.
func (Secret) String() string { return stars }

// Format hides it from every verb of fmt, also inside structs.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) } // fmt cannot report an error

// MarshalText hides it from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// Config says how to reach a member. Connect reads the files each time, so rotated certificates need no restart.
type Config struct {
	Endpoints []string // HOST:PORT, with or without http:// or https://, or unix:// or unixs:// and the path of a socket
	CACert    string   // PEM files
	Cert, Key string
	User      string
	Password  Secret
	Timeout   time.Duration // for each call except the stream
	Gentle    bool          // the member sends little ahead of what is read, so that a slow reader makes an even stream
	// KeepAlive notices within seconds that a member no longer answers, also while it sends nothing.
	KeepAlive bool
}

// Check finds settings that cannot work, without asking etcd. Errors wrap ErrConfig and name the flag.
func (c Config) Check() error {
	if len(c.Endpoints) == 0 {
		return fmt.Errorf("%w: --endpoints is empty", ErrConfig)
	}
	if (c.Cert == "") != (c.Key == "") {
		return fmt.Errorf("%w: --cert and --key go together: set both or neither", ErrConfig)
	}
	for _, e := range c.Endpoints {
		if _, err := c.parseEndpoint(e); err != nil {
			return err
		}
	}
	return nil
}

// tlsConfig reads the certificate files. Errors wrap ErrCertificate.
func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		pem, err := keyfile.PEM(c.CACert)
		if err != nil {
			return nil, certificateErrorf("read --cacert: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, certificateErrorf("read --cacert: %s holds no PEM certificate", c.CACert)
		}
	}
	if c.Cert != "" {
		pair, err := keyfile.Pair(c.Cert, c.Key)
		if err != nil {
			return nil, certificateErrorf("read --cert %s and --key %s: %w", c.Cert, c.Key, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// Certificate is one certificate of the configuration's files.
type Certificate struct {
	Flag, File string
	NotAfter   time.Time
}

// Certificates returns when --cacert and --cert expire; if a file contains several certificates, the one that expires first.
func (c Config) Certificates() ([]Certificate, error) {
	var out []Certificate
	for _, f := range []Certificate{{Flag: "cacert", File: c.CACert}, {Flag: "cert", File: c.Cert}} {
		if f.File == "" {
			continue
		}
		rest, err := keyfile.PEM(f.File)
		if err != nil {
			return nil, certificateErrorf("read --%s: %w", f.Flag, err)
		}
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, certificateErrorf("read --%s: %s: %w", f.Flag, f.File, err)
			}
			if f.NotAfter.IsZero() || cert.NotAfter.Before(f.NotAfter) {
				f.NotAfter = cert.NotAfter
			}
		}
		if f.NotAfter.IsZero() {
			return nil, certificateErrorf("read --%s: %s holds no PEM certificate", f.Flag, f.File)
		}
		out = append(out, f)
	}
	return out, nil
}
