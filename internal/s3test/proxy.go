package s3test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"etcd-rolling-backup/internal/proctest"
)

const (
	// rebindLimit and rebindPause bound the wait for the proxy's port, which an outgoing connection may hold for a moment.
	rebindLimit = 10 * time.Second
	rebindPause = 20 * time.Millisecond
)

// Proxy relays TCP to a server and spoils it on demand. It does not look into TLS: the client still speaks with the server itself.
// The embedded Target is the upstream's, reached through the proxy. Its methods may be called from several goroutines.
type Proxy struct {
	Target
	upstream string
	api      *toxiproxy.ApiServer // for its logger only; nothing listens

	mu   sync.Mutex
	live *toxiproxy.Proxy // nil while down
}

// NewProxy starts a proxy that passes everything. The context bounds the start only; the proxy runs until Close.
func NewProxy(ctx context.Context, upstream Target) (*Proxy, error) {
	p := &Proxy{
		Target:   upstream,
		upstream: upstream.endpoint,
		api:      toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
	}
	p.endpoint = "127.0.0.1:0"
	if err := p.open(ctx); err != nil {
		return nil, fmt.Errorf("start proxy of %s: %w", upstream.URL(), err)
	}
	p.endpoint = p.live.Listen
	return p, nil
}

// Close ends the proxy and every connection through it. It may be called again.
func (p *Proxy) Close() error { return p.Down() }

// Down refuses connections, as a server does that is down, and cuts those there are.
func (p *Proxy) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
	return nil
}

// Up ends Down, without the faults from before.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		return nil
	}
	return p.reopen("up")
}

// Clear ends every fault, Down too. The connections there are, which a fault may have spoiled, are cut.
func (p *Proxy) Clear() error { return p.replace("clear") }

// ResetAfter cuts every connection with a TCP reset, to both sides, once the client has sent so many bytes through it: an
// upload that breaks off. With TLS the bytes are those of the ciphertext and the handshake, over 400.
// Existing connections are cut first.
func (p *Proxy) ResetAfter(bytes int64) error { return p.resetAfter("upstream", bytes) }

// ResetAnswerAfter is ResetAfter for the bytes that the server has sent: a download that breaks off.
func (p *Proxy) ResetAnswerAfter(bytes int64) error { return p.resetAfter("downstream", bytes) }

func (p *Proxy) resetAfter(direction string, bytes int64) error {
	// limit_data alone says goodbye with a FIN. The mere presence of reset_peer makes every close a reset; it has no chance of
	// acting itself, for that would be at the first byte.
	return p.replace(
		fmt.Sprintf("reset %s after %d bytes", direction, bytes),
		fmt.Sprintf(`{"type": "limit_data", "stream": %q, "attributes": {"bytes": %d}}`, direction, bytes),
		fmt.Sprintf(`{"type": "reset_peer", "stream": %q, "toxicity": 0}`, direction),
	)
}

// Latency delays each answer of the server by d, rounded to milliseconds. Existing connections are cut first.
func (p *Proxy) Latency(d time.Duration) error {
	return p.replace("latency", fmt.Sprintf(`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, d.Milliseconds()))
}

// Blackhole swallows everything from now on in both directions: connections can be made and stay open, and nothing comes back.
// Existing connections are cut first.
func (p *Proxy) Blackhole() error {
	return p.replace("black hole",
		`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`,
		`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`,
	)
}

// replace cuts all connections and goes on with these toxics alone. Putting toxics into living connections, or
// taking them out, can block toxiproxy for good when one is just breaking.
func (p *Proxy) replace(fault string, toxics ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
	return p.reopen(fault, toxics...)
}

func (p *Proxy) close() {
	if p.live != nil {
		p.live.Stop()
		p.live = nil
	}
}

// reopen listens on the port of before.
func (p *Proxy) reopen(fault string, toxics ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), rebindLimit)
	defer cancel()
	if err := p.open(ctx, toxics...); err != nil {
		return fmt.Errorf("proxy fault %s: %w", fault, err)
	}
	return nil
}

func (p *Proxy) open(ctx context.Context, toxics ...string) error {
	return proctest.Poll(ctx, rebindPause, func() (bool, error) {
		proxy := toxiproxy.NewProxy(p.api, "s3", p.endpoint, p.upstream)
		if err := addToxics(proxy, "start", toxics); err != nil {
			return false, err
		}
		if err := proxy.Start(); err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return false, nil
			}
			return false, err
		}
		p.live = proxy
		return true, nil
	})
}

func addToxics(proxy *toxiproxy.Proxy, fault string, toxics []string) error {
	for _, toxic := range toxics {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("proxy fault %s: %w", fault, err)
		}
	}
	return nil
}
