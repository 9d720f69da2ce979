// Package peer copies one snapshot to the other members over mutual TLS, with etcd's own certificates: Serve offers it, a Client
// fetches it.
//
// Invariant: a client without a certificate of the CA gets no byte, no path of a request reaches a file system, and a transfer
// that ends with io.EOF returned exactly the offered bytes. Nothing here is limited by total time, everything by lack of
// progress.
//
// Over HTTP/1.1 there are two paths: / returns the Remote as JSON, /<name> the bytes, with ranges. In the form of rke-tools (ServeFile,
// Client.File) there is only /<name>: the other side need not be this program, and the bytes must prove themselves.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/handshake"
)

const (
	// maxAnswer limits how many bytes are read of an answer that is not a snapshot.
	maxAnswer  = 64 << 10
	readBuffer = 64 << 10
)

// Client fetches from one peer.
type Client struct {
	// Stall is the longest wait for the next byte or answer; one minute by default.
	Stall time.Duration

	peer string // HOST:PORT
	tls  *tls.Config
	http *http.Client
}

// Dial reads the certificates and sends nothing yet. hostport is the HOST:PORT of a Serve; its certificate must be valid for
// HOST. Errors wrap ErrConfig or ErrCertificate, or come from the files.
func Dial(id Identity, hostport string) (*Client, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || host == "" || port == "" || strings.ContainsAny(hostport, "/@?# ") {
		return nil, fmt.Errorf("%w: %s is not HOST:PORT", ErrConfig, printable.Address(hostport))
	}
	own, err := id.load()
	if err != nil {
		return nil, err
	}
	if err := own.usable(x509.ExtKeyUsageClientAuth); err != nil {
		return nil, err
	}
	config := own.clientConfig(host)
	return &Client{Stall: stall, peer: hostport, tls: config, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no proxy: members of a cluster reach each other directly
			TLSClientConfig:    config,
			DialContext:        (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext,
			DisableKeepAlives:  true, // only a few requests, and no idle connections to close afterwards
			DisableCompression: true,
			ReadBufferSize:     readBuffer,
		},
	}}, nil
}

// Offer asks which snapshot the peer has. Errors wrap ErrCertificate or ErrNoPeer, snapshot.ErrStalled, or come from the network.
func (c *Client) Offer(ctx context.Context) (Remote, error) {
	text, status, err := c.text(ctx, "/")
	if err != nil {
		return Remote{}, c.explain(ctx, "ask for its snapshot", err)
	}
	if offer, ours, err := readOffer(text); status == http.StatusOK && ours {
		if err != nil {
			return Remote{}, fmt.Errorf("peer %s: %w", c.peer, err)
		}
		return offer, nil
	}
	if version := c.etcdVersion(ctx); version != "" {
		return Remote{}, fmt.Errorf("peer %s: %w: an etcd %s answers there: use the port of serve", c.peer, ErrNoPeer, version)
	}
	return Remote{}, fmt.Errorf("peer %s: %w: it answers with HTTP status %d: is this the port of serve?", c.peer, ErrNoPeer, status)
}

// readOffer reads the answer of /; ours is false if that is of another server.
func readOffer(text []byte) (offer Remote, ours bool, err error) {
	var a answer
	if json.Unmarshal(text, &a) != nil || a.Service != service {
		return Remote{}, false, nil
	}
	return a.Remote, true, a.check()
}

// check refuses what no Serve sends.
func (r Remote) check() error {
	digest, err := hex.DecodeString(r.SHA256)
	if err != nil || len(digest) != 32 || r.Size <= 0 || checkName(r.Name) != nil {
		return fmt.Errorf("%w: it offers %q with %d bytes and SHA-256 %q", ErrNoPeer, r.Name, r.Size, r.SHA256)
	}
	return nil
}

// etcdVersion asks for what every etcd answers on its client port and peer port; "" if it is not an etcd.
func (c *Client) etcdVersion(ctx context.Context) string {
	text, status, err := c.text(ctx, "/version")
	var v struct {
		Server string `json:"etcdserver"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(text, &v) != nil || len(v.Server) > 20 {
		return ""
	}
	return strings.ToValidUTF8(v.Server, "")
}

// text reads a short answer.
func (c *Client) text(ctx context.Context, path string) (text []byte, status int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Stall, silent(c.Stall))
	defer cancel()
	res, err := c.get(ctx, path, nil)
	if err != nil {
		return nil, 0, causeOf(ctx, err)
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return text, res.StatusCode, causeOf(ctx, err)
}

// silent is the cause of a context that ended because no data came for this long.
func silent(patience time.Duration) error {
	return fmt.Errorf("%w for %s", snapshot.ErrStalled, patience)
}

// causeOf returns why ctx ended, instead of the error that this caused in a request.
func causeOf(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// get sends one request. Its error is the server's own reason if there is one.
func (c *Client) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.peer+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u := new(url.Error); errors.As(err, &u) {
			err = u.Err // the rest repeats what is already known
		}
		return nil, c.clarify(ctx, err)
	}
	if err := ctx.Err(); err != nil { // the peer answers a request that is given up, and that answer may still arrive
		return nil, errors.Join(err, res.Body.Close())
	}
	return res, nil
}

// clarify returns the server's own reason for refusing the connection, or else err, which is often only a broken connection.
func (c *Client) clarify(ctx context.Context, err error) error {
	if ctx.Err() != nil || kindOf(err) != nil {
		return err
	}
	if alert := handshake.Alert(ctx, "tcp", c.peer, c.tls); alert != nil {
		return alert
	}
	return err
}

var (
	// ErrConfig marks settings that cannot work, whatever the peer does.
	ErrConfig = errors.New("peer settings")
	// ErrCertificate marks a certificate that cannot be used here, or that one side does not trust.
	ErrCertificate = errors.New("peer certificate")
	// ErrNoPeer marks an address where something else answers.
	ErrNoPeer = errors.New("not a peer of this program")
	// ErrNotServed marks a file that a peer, of whatever make, does not serve.
	ErrNotServed = errors.New("it does not serve the snapshot")
	// ErrChanged marks a snapshot that the peer no longer offers.
	ErrChanged = errors.New("the peer offers another snapshot now")
)

// stall is how long a transfer may make no progress, unless its owner sets another time.
const stall = time.Minute

// service is in the answer of /, so that no other server is mistaken for a peer.
const service = "etcd-rolling-backup/peer/1"

// Remote is a snapshot as a peer offers it.
type Remote struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // of the archive's file, bytes
	SHA256 string `json:"sha256"` // of the archive's file, 64 hexadecimal digits
}

// answer is the answer of /.
type answer struct {
	Service string `json:"service"`
	Remote
}

// checkName accepts a file name, but no path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || name != path.Base(name) || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%w: %q is not a snapshot name", ErrConfig, name)
	}
	return nil
}
