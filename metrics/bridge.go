package metrics

import (
	"context"
	"log/slog"
	"maps"
)

// Log takes what the server has to say; the caller has the logger. fields is its own to keep.
type Log func(level slog.Level, message string, fields map[string]any)

// bridge is the slog.Handler that exporter-toolkit wants. Groups are left out: nothing here makes any.
type bridge struct {
	log    Log
	fields map[string]any
}

// Enabled implements slog.Handler.
func (b bridge) Enabled(context.Context, slog.Level) bool { return b.log != nil }

// Handle implements slog.Handler.
func (b bridge) Handle(_ context.Context, r slog.Record) error {
	if b.log == nil {
		return nil
	}
	fields := maps.Clone(b.fields)
	if fields == nil {
		fields = map[string]any{}
	}
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = a.Value.Resolve().Any()
		return true
	})
	b.log(r.Level, r.Message, fields)
	return nil
}

// WithAttrs implements slog.Handler.
func (b bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := maps.Clone(b.fields)
	if fields == nil {
		fields = map[string]any{}
	}
	for _, a := range attrs {
		fields[a.Key] = a.Value.Resolve().Any()
	}
	return bridge{b.log, fields}
}

// WithGroup implements slog.Handler.
func (b bridge) WithGroup(string) slog.Handler { return b }
