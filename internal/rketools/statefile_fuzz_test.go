package rketools

import (
	"encoding/json"
	"testing"
)

// Whatever kubectl prints: it is an error, or the state file is JSON within its limit.
func FuzzStoredState(f *testing.F) {
	f.Add([]byte(`{"data":{"full-cluster-state":"eyJhIjoxfQ=="}}`), true)
	f.Add([]byte(`{"data":{"full-cluster-state":"{\"a\":[1,{}]}"}}`), false)
	f.Add([]byte(`{"data":null}`), true)
	f.Add([]byte(`[`), false)
	f.Fuzz(func(t *testing.T, object []byte, encoded bool) {
		decode := fromText
		if encoded {
			decode = fromBase64
		}
		state, err := storedState(object, decode)
		if err == nil && (!json.Valid(state) || len(state) > stateLimit) {
			t.Errorf("%d bytes are no state file: %.100q", len(state), state)
		}
	})
}
