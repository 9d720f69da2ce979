package kube

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrNotObject is a value that is not an object of Kubernetes.
var ErrNotObject = errors.New("not a Kubernetes object")

// ErrCBOR is an object in an encoding that Kubernetes has as an experiment only.
var ErrCBOR = errors.New("stored as CBOR, which can't be decoded yet")

// DamagedError is a value that begins as an object of Kubernetes and is not one.
type DamagedError struct {
	Field string // where, as in spec.containers[0].name; empty if it is the value itself
	Err   error
}

func (e *DamagedError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("damaged Kubernetes object: %v", e.Err)
	}
	return fmt.Sprintf("damaged Kubernetes object: field %s: %v", e.Field, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// UnknownTypeError is an object whose type none of the known versions of Kubernetes has.
type UnknownTypeError struct{ APIVersion, Kind string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("unknown type %s %s: this version of the program can't decode it", e.APIVersion, e.Kind)
}

// UnknownFieldsError is an object with fields that none of the known versions of Kubernetes has. All others were decoded.
type UnknownFieldsError struct {
	Fields []string // each as in spec.containers[0].<field 99>
}

func (e *UnknownFieldsError) Error() string {
	const shown = 3
	names := e.Fields[:min(len(e.Fields), shown)]
	more := ""
	if len(e.Fields) > shown {
		more = fmt.Sprintf(" and %d more", len(e.Fields)-shown)
	}
	return fmt.Sprintf("written by a newer Kubernetes: unknown %s%s", strings.Join(names, ", "), more)
}

// EncryptedError is a value that an API server encrypted, and for which there is no key.
type EncryptedError struct {
	Provider string // as in EncryptionConfiguration: aescbc, aesgcm, secretbox, kms
	KeyName  string
}

func (e *EncryptedError) Error() string {
	return fmt.Sprintf("encrypted with provider %s, key %q", e.Provider, e.KeyName)
}

// NewEncryptedError names the provider and the key in the first bytes of an encrypted value: k8s:enc:aescbc:v1:key1:
func NewEncryptedError(value []byte) *EncryptedError {
	const longest = 512 // of a key's name; what follows is not text
	head := bytes.TrimPrefix(value[:min(len(value), longest)], []byte(encryptedMagic))
	parts := bytes.SplitN(head, []byte(":"), 4)
	e := &EncryptedError{Provider: string(parts[0])}
	if len(parts) == 4 {
		e.KeyName = string(parts[2])
	}
	return e
}
