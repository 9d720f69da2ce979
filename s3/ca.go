package s3

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"strings"
)

const pemBegin = "-----BEGIN"

// tlsConfig trusts the system's root certificates and --s3-ca.
func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // --s3-insecure-skip-verify, by explicit wish
	}
	if c.CA == "" {
		return t, nil
	}
	pem, from, err := c.caPEM()
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without root certificates
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, configError("--s3-ca: %s holds no PEM certificate", from)
	}
	t.RootCAs = pool
	return t, nil
}

// caPEM accepts the PEM text itself, its base64 encoding (with or without line breaks), or the path of a file.
func (c Config) caPEM() (pem []byte, from string, err error) {
	if strings.Contains(c.CA, pemBegin) {
		// A one-line variable often has
		// where the lines ended.
		return []byte(strings.ReplaceAll(c.CA, `\n`, "\n")), "the text", nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.CA), ""))
	if err == nil && strings.Contains(string(decoded), pemBegin) {
		return decoded, "the base64 text", nil
	}
	pem, err = os.ReadFile(c.CA)
	if err != nil {
		return nil, "", configError("--s3-ca is neither PEM text, nor base64 of PEM text, nor a readable file: %w", shorten(err))
	}
	return pem, c.CA, nil
}
