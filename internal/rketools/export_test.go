package rketools

import "time"

// Limits, which the tests let end.
const (
	FetchLimit = fetchLimit
	TryLimit   = tryLimit
	Pause      = pause
	Tries      = tries
)

// WithClock returns k with another time.AfterFunc.
func (k Kubectl) WithClock(after func(time.Duration, func()) func() bool) Kubectl {
	k.after = after
	return k
}

// IndentedSize is what is allowed for an indented state.
func IndentedSize(text []byte) int { return indentedSize(text) }
