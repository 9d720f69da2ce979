package s3

import (
	"context"
	"errors"

	"etcd-rolling-backup/snapshot"
)

// What can be wrong, told apart by what mends it.
var (
	// ErrConfig marks settings that can't work, or that the server refuses as such.
	ErrConfig = errors.New("s3 settings")
	// ErrCredentials marks keys that are missing, wrong or expired.
	ErrCredentials = errors.New("s3 credentials")
	// ErrNoBucket marks a bucket that does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrPermission marks an action that the keys' policy does not allow; see PermissionError.
	ErrPermission = errors.New("no permission")
	// ErrCertificate marks a TLS connection that one side does not trust.
	ErrCertificate = errors.New("s3 certificate")
	// ErrHost marks a server that can't be reached: no such name, nobody listening, no route.
	ErrHost = errors.New("s3 server unreachable")
	// ErrConnection marks a connection that broke.
	ErrConnection = errors.New("s3 connection lost")
	// ErrTimeout marks a server that fell silent.
	ErrTimeout = errors.New("s3 timeout")
	// ErrClock marks clocks too far apart for a signature to count.
	ErrClock = errors.New("clocks differ")
	// ErrLocked marks a snapshot that Object Lock holds.
	ErrLocked = errors.New("held by object lock")
	// ErrQuota marks a bucket or server that is full.
	ErrQuota = errors.New("s3 is full")
	// ErrChecksum marks bytes that did not arrive as they were sent.
	ErrChecksum = errors.New("checksum")
	// ErrBusy marks a server that asks to come back later.
	ErrBusy = errors.New("s3 server busy")
)

// PermissionError is an ErrPermission that names the action, for example s3:PutObject.
type PermissionError struct{ Action string }

// Error names the action.
func (e *PermissionError) Error() string { return ErrPermission.Error() + " for " + e.Action }

// Unwrap gives ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }

// Class gives one of a small fixed set of words for err, fit for a metric's label; "" for nil.
func Class(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range []struct {
		kind error
		name string
	}{
		{context.Canceled, "canceled"},
		{ErrConfig, "config"},
		{ErrCredentials, "credentials"},
		{ErrNoBucket, "no_bucket"},
		{ErrPermission, "permission"},
		{ErrCertificate, "certificate"},
		{ErrHost, "host"},
		{ErrConnection, "connection"},
		{ErrTimeout, "timeout"},
		{ErrClock, "clock"},
		{ErrLocked, "locked"},
		{ErrQuota, "quota"},
		{ErrChecksum, "checksum"},
		{ErrBusy, "busy"},
		{snapshot.ErrNotFound, "not_found"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, c.kind) {
			return c.name
		}
	}
	return "other"
}

// transient tells whether it is worth to try again at once. Silence is not: it has cost a whole Stall already.
func transient(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrConnection) || errors.Is(err, ErrChecksum)
}
