package s3

import (
	"context"
	"errors"

	"etcd-rolling-backup/snapshot"
)

// The classes of errors, by what fixes them.
var (
	// ErrConfig marks settings that cannot work, or that the server refuses as settings.
	ErrConfig = errors.New("s3 settings")
	// ErrCredentials marks keys that are missing, wrong or expired.
	ErrCredentials = errors.New("s3 credentials")
	// ErrNoBucket marks a bucket that does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrPermission marks an action that the keys' policy does not allow; see PermissionError.
	ErrPermission = errors.New("no permission")
	// ErrCertificate marks a TLS connection that one side does not trust.
	ErrCertificate = errors.New("s3 certificate")
	// ErrHost marks a server that cannot be reached: unknown name, nothing listens, no route.
	ErrHost = errors.New("s3 server unreachable")
	// ErrConnection marks a connection that broke.
	ErrConnection = errors.New("s3 connection lost")
	// ErrTimeout marks a server that stopped answering.
	ErrTimeout = errors.New("s3 timeout")
	// ErrClock marks clocks that are too far apart for a valid signature.
	ErrClock = errors.New("clocks differ")
	// ErrLocked marks a snapshot under Object Lock.
	ErrLocked = errors.New("held by object lock")
	// ErrQuota marks a bucket or server that is full.
	ErrQuota = errors.New("s3 is full")
	// ErrChecksum marks bytes that did not arrive as they were sent.
	ErrChecksum = errors.New("checksum")
	// ErrArchived marks an object that S3 has moved to an archive, from which it must be restored before it can be read.
	ErrArchived = errors.New("s3 object archived")
	// ErrExposed marks a bucket in which stolen keys could destroy snapshots, although AppendOnly is set.
	ErrExposed = errors.New("history not protected")
	// ErrBusy marks a server that asks for a later retry.
	ErrBusy = errors.New("s3 server busy")
)

// PermissionError is an ErrPermission that names the action, for example s3:PutObject.
type PermissionError struct{ Action string }

// Error includes the action.
func (e *PermissionError) Error() string { return ErrPermission.Error() + " for " + e.Action }

// Unwrap returns ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }

// Class returns the class of err as a fixed word for a metric's label; "" for nil.
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
		{ErrExposed, "config"},
		{ErrArchived, "config"}, // a lifecycle rule or storage class has moved it
		{snapshot.ErrNotFound, "not_found"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, c.kind) {
			return c.name
		}
	}
	return "other"
}

// transient reports whether an immediate retry may help. After a timeout it may not: the timeout has already taken a whole Stall.
func transient(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, ErrConnection) || errors.Is(err, ErrChecksum)
}
