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
	// rebindLimit and rebindPause bound the wait for the proxy's port, which an outgoing connection may use for a moment.
	rebindLimit = 10 * time.Second
	rebindPause = 20 * time.Millisecond
)

// Proxy relays TCP to a server and injects faults. It does not terminate TLS. The embedded Target is the upstream's, through the
// proxy. Its methods may be called from several goroutines.
type Proxy struct {
	Target
	upstream string
	api      *toxiproxy.ApiServer // for its logger only; nothing listens

	mu   sync.Mutex
	live *toxiproxy.Proxy // nil while down
}

// NewProxy starts a proxy without faults. The context bounds only the start; the proxy runs until Close.
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

// Close stops the proxy and closes its connections. It may be called again.
func (p *Proxy) Close() error { return p.Down() }

// Down refuses connections, as a server that is down, and cuts existing ones.
func (p *Proxy) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
	return nil
}

// Up ends Down; earlier faults are not restored.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live != nil {
		return nil
	}
	return p.reopen("up")
}

// Clear ends all faults, including Down, and cuts existing connections, which a fault may have affected.
func (p *Proxy) Clear() error { return p.replace("clear") }

// ResetAfter cuts every connection with a TCP reset, to both sides, once the client has sent this many bytes through it: an
// interrupted upload. With TLS the bytes are those of the ciphertext and the handshake, over 400.
// Existing connections are cut first.
func (p *Proxy) ResetAfter(bytes int64) error { return p.resetAfter("upstream", bytes) }

// ResetAnswerAfter is ResetAfter for the bytes that the server has sent: an interrupted download.
func (p *Proxy) ResetAnswerAfter(bytes int64) error { return p.resetAfter("downstream", bytes) }

func (p *Proxy) resetAfter(direction string, bytes int64) error {
	// limit_data alone closes with a FIN. With reset_peer present, every close is a reset. Its toxicity is 0, because it would
	// otherwise act at the first byte.
	return p.replace(
		fmt.Sprintf("reset %s after %d bytes", direction, bytes),
		fmt.Sprintf(`{"type": "limit_data", "stream": %q, "attributes": {"bytes": %d}}`, direction, bytes),
		fmt.Sprintf(`{"type": "reset_peer", "stream": %q, "toxicity": 0}`, direction),
	)
}

// Latency delays each response of the server by d, rounded to milliseconds. Existing connections are cut first.
func (p *Proxy) Latency(d time.Duration) error {
	return p.replace("latency", fmt.Sprintf(`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, d.Milliseconds()))
}

// Blackhole drops all data in both directions: connections can be made and stay open, but no data arrives.
// Existing connections are cut first.
func (p *Proxy) Blackhole() error {
	return p.replace("black hole",
		`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`,
		`{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`,
	)
}

// replace cuts all connections and continues with only these toxics. Adding toxics to open connections, or removing them, can block
// toxiproxy forever if a connection is closing at that moment.
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

// reopen listens on the same port again.
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
