package snapshot

import (
	"encoding/json"
	"errors"
	"strconv"
)

// Count is a number that may not be known. The zero value is "not known", which is not the number 0. In JSON it is a number, and absent
// (omitzero) if it is not known.
type Count struct {
	n     int64
	known bool
}

// Counted returns a known number.
func Counted(n int64) Count { return Count{n: n, known: true} }

// Get returns the number; false: it is not known.
func (c Count) Get() (int64, bool) { return c.n, c.known }

// Or returns c, or other if c is not known.
func (c Count) Or(other Count) Count {
	if c.known {
		return c
	}
	return other
}

// MarshalJSON writes the number.
func (c Count) MarshalJSON() ([]byte, error) {
	if !c.known {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, c.n, 10), nil
}

// UnmarshalJSON reads a number of at least 0, or null.
func (c *Count) UnmarshalJSON(text []byte) error {
	var n *int64
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	switch {
	case n == nil:
		*c = Count{}
	case *n < 0:
		return errors.New("a count is below 0")
	default:
		*c = Counted(*n)
	}
	return nil
}
