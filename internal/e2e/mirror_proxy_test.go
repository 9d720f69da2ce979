package e2e_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

// domain is a name that nobody resolves, so that only a proxy leads there.
const domain = "s3.example.invalid"

// The bucket before the host, or in the path, through the environment's proxy to a MinIO that knows that it has this name.
func TestBucketInHostOrPathThroughAProxy(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, s3test.Run(t, s3test.Options{Env: []string{"MINIO_DOMAIN=" + domain}}))
	archive := bed.save(t)
	for lookup, want := range map[string]func(b *bucket, r s3test.Request) bool{
		"dns": func(b *bucket, r s3test.Request) bool {
			return r.Host == b.name+"."+domain && !strings.Contains(r.Path, b.name)
		},
		"path": func(b *bucket, r s3test.Request) bool {
			return r.Host == domain && strings.HasPrefix(r.Path, "/"+b.name+"/")
		},
	} {
		t.Run(lookup, func(t *testing.T) {
			b, proxy := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
			mirror := append(b.flags(bed.server.Target), "--s3-endpoint=http://"+domain, "--s3-bucket-lookup="+lookup)
			b.everything(archive, "HTTP_PROXY="+proxy.URL(), mirror)
			asked := proxy.Requests()
			if i := slices.IndexFunc(asked, func(r s3test.Request) bool { return !want(b, r) }); len(asked) == 0 || i >= 0 {
				t.Errorf("of %d requests number %d is a wrong one: %v", len(asked), i, asked)
			}
		})
	}
}

// With TLS the proxy only sees which host is asked for, and the server's certificate has to name the bucket's.
func TestBucketThroughATLSTunnel(t *testing.T) {
	parallel(t)
	ca, err := s3test.NewCA(t.TempDir())
	must(t, err)
	certificate, err := ca.IssueFor("*." + domain)
	must(t, err)
	bed := newMirrorBed(t, s3test.Run(t, s3test.Options{Certificate: &certificate, Env: []string{"MINIO_DOMAIN=" + domain}}))
	archive := bed.save(t)
	b := newBucket(t, s3test.RunHTTPFaults(t, bed.server.Target).Target, s3test.BucketOptions{}) // which trusts any certificate
	proxy := runTunnel(t, bed.server.Endpoint())
	mirror := append(b.flags(bed.server.Target), "--s3-endpoint=https://"+domain)
	b.everything(archive, "HTTPS_PROXY="+proxy.url, append(mirror, "--s3-bucket-lookup=dns"))
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	if hosts := slices.Compact(proxy.hosts); !slices.Equal(hosts, []string{b.name + "." + domain + ":443"}) {
		t.Errorf("asked for %q", hosts)
	}
}

// everything does all that can be done with a bucket, with a variable in the environment.
func (b *bucket) everything(archive, variable string, mirror []string) {
	b.t.Helper()
	dir, names := newStore(b.t), rolling(b.t, node, 2)
	plant(b.t, dir, archive, names...)
	do := func(word string, args ...string) {
		b.t.Helper()
		startWith(b.t, variable, words(args[0], mirror, args[1:])...).demand(b.t, 0, word)
	}
	do("2 uploaded", "mirror", "--node="+node, "--dir="+dir)
	b.has(names...)
	do(names[1], "list", "--from=s3")
	do("is intact", "verify", "--from=s3", "--min-free=0", "--dir="+dir)
	do("deleted", "delete", "--from=s3", names[1])
	b.has(names[0])
	elsewhere := newStore(b.t)
	do("verified", "download", "--min-free=0", "--dir="+elsewhere)
	wantWhole(b.t, elsewhere, 1)
}

// tunnel is a proxy for TLS that leads to one server, whatever host is asked for.
type tunnel struct {
	url string

	mu    sync.Mutex
	hosts []string // as asked for
}

func runTunnel(t *testing.T, to string) *tunnel {
	t.Helper()
	var tn tunnel
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tn.mu.Lock()
		tn.hosts = append(tn.hosts, r.Host)
		tn.mu.Unlock()
		far, err := net.Dial("tcp", to)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		if _, err := io.WriteString(near, "HTTP/1.1 200 Connected\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(far, buffered) // ends with either connection
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far)
	}))
	t.Cleanup(s.Close)
	tn.url = s.URL
	return &tn
}
