package etcdtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	hexDigits    = "0123456789abcdef"
	base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	nameLetters  = "bcdfghjklmnpqrstvwxz2456789x4bcd" // 32 of the letters that Kubernetes uses in generated names
)

// epoch is the earliest time in generated objects, fixed so that equal seeds give equal bytes.
const epoch = 1_767_225_600 // 2026-01-01T00:00:00Z

// encoder appends protobuf fields and random content to a buffer. The random parts have the same alphabet, and so the same entropy
// per byte, as real ones: hex for digests, base64 for keys, words for prose.
type encoder struct {
	buf []byte
	rng *rand.Rand
}

// reset clears the buffer and restarts the random numbers for one object.
func (e *encoder) reset(seed uint64) {
	e.buf = e.buf[:0]
	e.rng = rand.New(rand.NewPCG(seed, 0))
}

// field appends a length-delimited field with the bytes that content appends.
func (e *encoder) field(number uint64, content func()) {
	e.buf = binary.AppendUvarint(e.buf, number<<3|2)
	start := len(e.buf)
	content()
	// The length is before the content and has a variable number of bytes, so the content is moved.
	var prefix [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(prefix[:], uint64(len(e.buf)-start))
	e.buf = append(e.buf, prefix[:n]...)
	copy(e.buf[start+n:], e.buf[start:len(e.buf)-n])
	copy(e.buf[start:], prefix[:n])
}

func (e *encoder) string(number uint64, s string) {
	e.buf = binary.AppendUvarint(e.buf, number<<3|2)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) number(number, value uint64) {
	e.buf = binary.AppendUvarint(e.buf, number<<3)
	e.buf = binary.AppendUvarint(e.buf, value)
}

// entry appends a field that is one entry of a map of strings.
func (e *encoder) entry(number uint64, key, value string) {
	e.field(number, func() { e.string(1, key); e.string(2, value) })
}

// amount appends a field that is one entry of a map from strings to Quantity messages.
func (e *encoder) amount(number uint64, key, quantity string) {
	e.field(number, func() { e.string(1, key); e.field(2, func() { e.string(1, quantity) }) })
}

// time appends a field with a time, in seconds after epoch, as Kubernetes' Time message.
func (e *encoder) time(number, seconds uint64) {
	e.field(number, func() { e.number(1, epoch+seconds) })
}

func (e *encoder) text(parts ...string) {
	for _, s := range parts {
		e.buf = append(e.buf, s...)
	}
}

func (e *encoder) decimal(v uint64) { e.buf = strconv.AppendUint(e.buf, v, 10) }

func (e *encoder) rfc3339(seconds uint64) {
	e.buf = time.Unix(epoch+int64(seconds), 0).UTC().AppendFormat(e.buf, time.RFC3339)
}

func (e *encoder) hex(n int)    { e.digits(n, 4, hexDigits) }
func (e *encoder) base64(n int) { e.digits(n, 6, base64Digits) }
func (e *encoder) suffix(n int) { e.digits(n, 5, nameLetters) }

// digits appends n random letters of an alphabet with 1<<bits letters, as many from each random number as possible.
func (e *encoder) digits(n int, bits uint, alphabet string) {
	mask := uint64(1)<<bits - 1
	for n > 0 {
		r := e.rng.Uint64()
		for used := bits; used <= 64 && n > 0; used += bits {
			e.buf = append(e.buf, alphabet[r&mask])
			r >>= bits
			n--
		}
	}
}

func (e *encoder) uid() {
	for i, n := range [...]int{8, 4, 4, 4, 12} {
		if i > 0 {
			e.text("-")
		}
		e.hex(n)
	}
}

// pem appends a PEM block of about n bytes of random base64 in lines of 64.
func (e *encoder) pem(kind string, n int) {
	e.text("-----BEGIN ", kind, "-----\n")
	for ; n > 0; n -= 64 {
		e.base64(min(n, 64))
		e.text("\n")
	}
	e.text("-----END ", kind, "-----\n")
}

// prose appends words up to about n bytes.
func (e *encoder) prose(n int) {
	words := vocabulary()
	for end := len(e.buf) + n; len(e.buf) < end; {
		e.text(words[e.rng.IntN(len(words))], " ")
	}
}

// size returns a random size between low and high with a uniform logarithm: as for real objects, small sizes are more frequent.
func (e *encoder) size(low, high float64) int {
	return int(low * math.Pow(high/low, e.rng.Float64()))
}

// vocabulary returns an array, so that no caller can change the words of another.
func vocabulary() [48]string {
	return [...]string{
		"the", "server", "timeout", "client", "request", "of", "certificate", "when", "cache", "enabled", "database", "address",
		"retry", "interval", "is", "maximum", "connection", "log", "level", "a", "replica", "to", "storage", "volume",
		"metrics", "endpoint", "must", "be", "default", "namespace", "selector", "matching", "this", "optional", "value", "list",
		"controller", "reconcile", "status", "of", "secret", "reference", "duration", "renewal", "issuer", "queue", "worker", "limit",
	}
}
