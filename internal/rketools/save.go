package rketools

import (
	"context"

	"etcd-rolling-backup/internal/config"
)

// save takes snapshots again and again, or one.
func save(ctx context.Context, o saveOptions) error {
	switch {
	case o.creation <= 0 || o.retention <= 0: // with --once too
		return config.Usagef("Creation period and/or retention are not set: set --creation and --retention to positive durations")
	case o.cacert == "" || o.cert == "" || o.key == "":
		return config.Usagef("Failed to find etcd cert or key paths: set --cacert, --cert and --key")
	case o.once:
		return once(ctx, o)
	default:
		return rolling(ctx, o)
	}
}
