package rketools

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/regular"
)

// stateLimit is the longest state file. Kubernetes stores at most 1 MiB in a Secret.
const stateLimit = 16 << 20

// errUnusable marks what is not a state file, which a further try would not change.
var errUnusable = errors.New("not usable as a state file")

// StateFile is the cluster's state file for one snapshot. RKE needs it to restore a cluster whose own state file is lost. It contains
// private keys.
type StateFile struct {
	Data []byte // nil: there is none
	// Err says why there is none, or what is wrong with it; it quotes nothing of it. The snapshot is saved all the same.
	Err error
}

// Included reports whether the snapshot gets a state file.
func (s StateFile) Included() bool { return s.Data != nil }

// ReadStateFile reads the state file that RKE puts next to its certificates for `save --once`. One that is not JSON is included as it is, as
// rke-tools does: it may be all that is left of the cluster's keys.
func (p Paths) ReadStateFile(name string) StateFile {
	path, err := p.StateFile(name)
	if err != nil {
		return StateFile{Err: err}
	}
	data, err := readRegular(path, stateLimit)
	switch {
	case err != nil:
		return StateFile{Err: fmt.Errorf("no state file in the snapshot: %w", err)}
	case len(data) == 0:
		return StateFile{Err: fmt.Errorf("no state file in the snapshot: %s is empty: %w", path, errUnusable)}
	}
	if err := checkState(data); err != nil {
		return StateFile{Data: data, Err: fmt.Errorf("the snapshot includes %s as it is, but RKE can't restore from it: %w", path, err)}
	}
	return StateFile{Data: data}
}

// readRegular reads a file of at most limit bytes. It follows no link in the last part of the path and waits for no pipe.
func readRegular(path string, limit int64) ([]byte, error) {
	data, err := regular.Read(path, unix.O_NOFOLLOW, limit)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: %w", path, err)
	}
	return data, err
}

func tooLong(what string, limit int64) error {
	return fmt.Errorf("%s is longer than %s: %w", what, humanize.IBytes(uint64(limit)), errUnusable) //nolint:gosec // G115: a constant of ours
}

// checkState reports what is wrong with a state file.
func checkState(state []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(state, &fields); err != nil || fields == nil {
		return fmt.Errorf("not a JSON object: %w", errUnusable)
	}
	return nil
}

// storedState returns the state that kubectl printed with a Secret or, encoded as text, a ConfigMap.
func storedState(object []byte, decode func(string) ([]byte, error)) ([]byte, error) {
	var o struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return nil, fmt.Errorf("kubectl's output is not the JSON of such an object: %w", errUnusable)
	}
	text, ok := o.Data[stateObject]
	if !ok {
		return nil, fmt.Errorf("it has no key %s: %w", stateObject, errUnusable)
	}
	state, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("its key %s is not base64: %w", stateObject, errUnusable)
	}
	if err := checkState(state); err != nil {
		return nil, fmt.Errorf("its key %s is %w", stateObject, err)
	}
	if indentedSize(state) > stateLimit {
		return nil, tooLong("its key "+stateObject+", indented,", stateLimit)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(state), "", stateIndent); err != nil {
		return nil, fmt.Errorf("its key %s can't be indented: %w", stateObject, errUnusable)
	}
	return out.Bytes(), nil
}

func fromBase64(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

func fromText(text string) ([]byte, error) { return []byte(text), nil }

// stateIndent is that of RKE's own state files.
const stateIndent = "  "

// indentedSize is at least the size of valid JSON once it is indented: a small text with deep nesting becomes a huge one.
func indentedSize(text []byte) int {
	size, depth, inString := len(text), 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == ':':
			size++
		case c == '[' || c == '{':
			depth++
			size += 1 + depth*len(stateIndent)
		case c == ']' || c == '}':
			depth--
			size += 1 + depth*len(stateIndent)
		case c == ',':
			size += 1 + depth*len(stateIndent)
		}
	}
	return size
}
