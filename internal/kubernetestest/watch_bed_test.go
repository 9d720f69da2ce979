//go:build kubernetes

package kubernetestest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// watch is an open stream of changes.
type watch struct {
	body    io.Closer
	decoder *json.Decoder
}

// change is an element of the stream.
type change struct {
	Type   string // ADDED, MODIFIED, DELETED or BOOKMARK
	Object object
}

// watch asks for what happened to a resource after a version. It ends with the context.
func (c *client) watch(ctx context.Context, path string, after version) (*watch, error) {
	response, err := c.send(ctx, http.MethodGet, path+"?watch=true&allowWatchBookmarks=true&resourceVersion="+after.String(), nil) //nolint:bodyclose // by the caller, as watch.body
	if err != nil {
		return nil, err
	}
	return &watch{body: response.Body, decoder: json.NewDecoder(response.Body)}, nil
}

// next waits for a change. An error that the API sends in the stream is a *statusError.
func (w *watch) next() (change, error) {
	var raw struct {
		Type   string
		Object json.RawMessage
	}
	if err := w.decoder.Decode(&raw); err != nil {
		return change{}, err
	}
	if raw.Type == "ERROR" {
		status := &statusError{}
		if err := json.Unmarshal(raw.Object, status); err != nil {
			return change{}, err
		}
		return change{}, status
	}
	got := change{Type: raw.Type}
	return got, json.Unmarshal(raw.Object, &got.Object)
}
