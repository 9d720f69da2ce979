//go:build kubernetes

package kubernetestest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// requestLimit bounds every request but a watch.
const requestLimit = 30 * time.Second

// client speaks the API's JSON, and remembers the highest resource version that it was told.
type client struct {
	base    string // https://127.0.0.1:port
	http    *http.Client
	highest atomic.Uint64
}

// metadata is what the tests read of an object's or a list's.
type metadata struct {
	Name            string  `json:"name,omitempty"`
	ResourceVersion version `json:"resourceVersion,omitempty"`
}

// object is a ConfigMap, a Secret or a Namespace.
type object struct {
	Metadata metadata          `json:"metadata"`
	Data     map[string]string `json:"data,omitempty"`
}

type objectList struct {
	Metadata metadata `json:"metadata"`
	Items    []object `json:"items"`
}

// version is a resource version. For clients it is a text without meaning; behind it is etcd's revision.
type version uint64

func (v version) String() string { return strconv.FormatUint(uint64(v), 10) }

func (v version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

func (v *version) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	*v = version(n)
	return err
}

// statusError is the API's answer to what it refuses.
type statusError struct {
	Code    int
	Reason  string
	Message string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message) }

// answered says whether err is the API's answer with this code.
func answered(err error, code int) bool {
	var status *statusError
	return errors.As(err, &status) && status.Code == code
}

func newClient(config *tls.Config) *client {
	return &client{http: &http.Client{Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: writers}}}
}

// saw remembers a resource version.
func (c *client) saw(v version) {
	for old := c.highest.Load(); uint64(v) > old && !c.highest.CompareAndSwap(old, uint64(v)); old = c.highest.Load() {
	}
}

// do sends a request and reads the answer into a value; both may be nil. What is refused is a *statusError.
func (c *client) do(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// send returns the answer to a request with its body still to be read.
func (c *client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil || response.StatusCode < http.StatusBadRequest {
		return response, err
	}
	defer response.Body.Close()
	status := &statusError{}
	if text, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if json.Unmarshal(text, status) != nil {
		status.Message = string(text)
	}
	status.Code = response.StatusCode
	return nil, fmt.Errorf("%s %s: %w", method, path, status)
}

// write creates, replaces or deletes, and returns the object that the API answers with.
func (c *client) write(ctx context.Context, method, path string, o *object) (object, error) {
	var body any
	if o != nil {
		body = o
	}
	var got object
	err := c.do(ctx, method, path, body, &got)
	c.saw(got.Metadata.ResourceVersion)
	return got, err
}

// list returns all objects of a resource as they are now.
func (c *client) list(ctx context.Context, path string) (objectList, error) {
	var l objectList
	err := c.do(ctx, http.MethodGet, path, nil, &l)
	c.saw(l.Metadata.ResourceVersion)
	return l, err
}
