package peer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/peer"
)

// Two paths answer; all others, however written, get 404 and no redirect, other methods 405.
func TestOnlyTwoPathsAreServed(t *testing.T) {
	pki := newPKI(t)
	b := serve(t, server(pki), offer([]byte("secret of the cluster")))
	config, err := pki.TLSConfig()
	must(t, err)
	for request, want := range map[string]int{
		"GET / HTTP/1.1": 200, "HEAD / HTTP/1.1": 200, "GET /" + name + " HTTP/1.1": 200, "HEAD /" + name + " HTTP/1.1": 200,
		"GET /../" + name + " HTTP/1.1": 404, "GET //" + name + " HTTP/1.1": 404, "GET /./" + name + " HTTP/1.1": 404,
		"GET /" + name + "/ HTTP/1.1": 404, "GET /%2e%2e/etc/passwd HTTP/1.1": 404, "GET /..%2f..%2fetc%2fpasswd HTTP/1.1": 404,
		"GET // HTTP/1.1": 404, "GET /. HTTP/1.1": 404, "GET /.. HTTP/1.1": 404, "GET /%2f HTTP/1.1": 404, "GET /? HTTP/1.1": 404,
		"GET /" + name + "?x HTTP/1.1": 404, "GET /" + strings.Replace(name, "r", "%72", 1) + " HTTP/1.1": 404,
		"GET /" + strings.ToUpper(name) + " HTTP/1.1": 404, "GET /etc/passwd HTTP/1.1": 404, "GET /version HTTP/1.1": 404,
		"GET https://x/ HTTP/1.1": 404, "GET https://x/" + name + " HTTP/1.1": 404, "GET /debug/pprof/ HTTP/1.1": 404,
		"OPTIONS * HTTP/1.1": 404, "CONNECT x:1 HTTP/1.1": 404, "POST /x HTTP/1.1": 404,
		"POST / HTTP/1.1": 405, "PUT /" + name + " HTTP/1.1": 405, "DELETE /" + name + " HTTP/1.1": 405, "TRACE / HTTP/1.1": 405,
		"GET " + name + " HTTP/1.1": 400, "GET / HTTP/2.0": 505, "nonsense": 400,
	} {
		got := raw(t, b.addr, config, request+"\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", want)) || strings.Contains(got, "Location:") {
			t.Errorf("%s: %q, want %d", request, got, want)
		}
		if whole := strings.HasPrefix(request, "GET /"+name+" "); strings.Contains(got, "secret") != whole {
			t.Errorf("%s: %q", request, got)
		}
	}
	// A request body is useless, and the server does not wait for it longer than for a request's header.
	got := raw(t, b.addr, config, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
	if !strings.HasPrefix(got, "HTTP/1.1 405 ") {
		t.Errorf("a body: %q", got)
	}
	long := raw(t, b.addr, config, "GET /"+strings.Repeat("x", 64<<10)+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.HasPrefix(long, "HTTP/1.1 431 ") {
		t.Errorf("a long request: %.60q", long)
	}
}

// A name with special characters for URLs is fetched unchanged.
func TestNameWithSpecialCharactersIsFetched(t *testing.T) {
	pki := newPKI(t)
	for _, strange := range []string{"a b", "a;b,c=d&e+f$g:h@i", "100%", "ä?#", "a%2fb"} {
		o := offer([]byte("x"))
		o.Name = strange
		c := dial(t, client(pki), serve(t, server(pki), o).addr)
		r, err := c.Offer(t.Context())
		must(t, err)
		if r.Name != strange {
			t.Errorf("offered is %q, not %q", r.Name, strange)
		}
		if got, err := fetch(t, c, r); err != nil || string(got) != "x" {
			t.Errorf("%q: %q and %v", strange, got, err)
		}
	}
}

// Any HTTP client can use it: curl resumes, HEAD tells the size.
func TestPlainHTTP(t *testing.T) {
	pki := newPKI(t)
	data := noise(1 << 20)
	b := serve(t, server(pki), offer(data))
	config, err := pki.TLSConfig()
	must(t, err)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	type reply struct {
		status int
		length int64
		header http.Header
		body   []byte
	}
	ask := func(method, path string, header ...string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+b.addr+path, nil)
		must(t, err)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := web.Do(req)
		must(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return reply{res.StatusCode, res.ContentLength, res.Header, body}
	}
	root := ask(http.MethodGet, "/")
	var told map[string]any
	must(t, json.Unmarshal(root.body, &told))
	if root.header.Get("Content-Type") != "application/json" || told["name"] != name || told["size"] != 1048576. ||
		told["service"] != "etcd-rolling-backup/peer/1" || len(told) != 4 {
		t.Errorf("/ gives %s", root.body)
	}
	tag := fmt.Sprintf("%q", told["sha256"])
	head := ask(http.MethodHead, "/"+name)
	if head.length != 1<<20 || head.header.Get("ETag") != tag || head.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD gives %v", head.header)
	}
	for header, want := range map[string][]byte{
		"bytes=0-": data, "bytes=1000-1999": data[1000:2000], "bytes=-5": data[len(data)-5:], "bytes=1048575-": data[1<<20-1:],
	} {
		if r := ask(http.MethodGet, "/"+name, "Range", header, "If-Range", tag); r.status != 206 || !bytes.Equal(r.body, want) {
			t.Errorf("%s: %d bytes, %d", header, len(r.body), r.status)
		}
	}
	if r := ask(http.MethodGet, "/"+name, "Range", "bytes=5-", "If-Range", `"other"`); r.status != 200 || !bytes.Equal(r.body, data) {
		t.Errorf("another entity: %d bytes, %d", len(r.body), r.status)
	}
	if r := ask(http.MethodGet, "/"+name, "Range", "bytes=1048576-"); r.status != 416 {
		t.Errorf("beyond the end: %d", r.status)
	}
	b.told(t, "HEAD is told", func(e peer.Event) bool { return e.Method == "HEAD" && e.Status == 200 && e.Bytes == 0 })
}
