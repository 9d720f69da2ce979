// Package encryption decrypts what an API server encrypted before it stored it, with the keys of its own EncryptionConfiguration.
//
// aescbc, aesgcm and secretbox need nothing but that file. A key management service (kms) keeps its keys to itself, so that its values are
// named and refused.
package encryption

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/nacl/secretbox"

	"etcd-rolling-backup/snapshot/kube"
)

// What the value of a provider begins with; the name of the key and a colon follow.
const prefixFormat = "k8s:enc:%s:v1:"

// KMS is the provider whose keys only a key management service has.
const KMS = "kms"

// The other providers of EncryptionConfiguration.
const (
	aescbc       = "aescbc"
	aesgcm       = "aesgcm"
	secretBox    = "secretbox"
	identity     = "identity"
	secretboxKey = 32
)

// Keys decrypts with the keys of an EncryptionConfiguration. It is a kube.Decrypter.
type Keys struct{ keys []key }

// key is one key. Which resources it is for does not matter: the value names the key.
type key struct {
	provider, name string
	secret         []byte
}

// KMSError is a value whose key only a key management service has.
type KMSError struct{ Provider string }

func (e *KMSError) Error() string {
	return fmt.Sprintf("encrypted by the key management service %q: only an API server that can reach it can decrypt this", e.Provider)
}

// WrongKeyError is a value that none of the keys with its name decrypts.
type WrongKeyError struct{ Provider, KeyName string }

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("provider %s: key %q in the encryption configuration is not the one that encrypted this, or the value is damaged",
		e.Provider, e.KeyName)
}

// MissingKeyError is a value whose key is not in the configuration.
type MissingKeyError struct {
	Provider, KeyName string
	Known             []string // as in aescbc key1
}

func (e *MissingKeyError) Error() string {
	known := "it has none"
	if len(e.Known) > 0 {
		known = "it has " + strings.Join(e.Known, ", ")
	}
	return fmt.Sprintf("encrypted with provider %s, key %q, which the encryption configuration lacks (%s)", e.Provider, e.KeyName, known)
}

// Decrypt returns the value as it was before it was encrypted. The key is the whole one in etcd, for aesgcm authenticates it.
func (k *Keys) Decrypt(etcdKey string, value []byte) ([]byte, error) {
	if kube.EncodingOf(value) != kube.Encrypted {
		return value, nil // provider identity, or written before encryption was switched on
	}
	named := kube.NewEncryptedError(value)
	if named.Provider == KMS {
		return nil, &KMSError{Provider: named.KeyName}
	}
	var tried *WrongKeyError
	for _, key := range k.keys {
		data, found := bytes.CutPrefix(value, fmt.Appendf(nil, prefixFormat+"%s:", key.provider, key.name))
		if !found {
			continue
		}
		tried = &WrongKeyError{Provider: key.provider, KeyName: key.name}
		// A wrong key of aescbc leaves a valid padding once in 256 times.
		if plain, err := key.decrypt(data, etcdKey); err == nil && isStored(plain) {
			return plain, nil
		}
	}
	if tried != nil {
		return nil, tried
	}
	missing := &MissingKeyError{Provider: named.Provider, KeyName: named.KeyName}
	for _, key := range k.keys {
		missing.Known = append(missing.Known, key.provider+" "+key.name)
	}
	return nil, missing
}

// isStored reports whether a value is one that an API server encrypts.
func isStored(value []byte) bool {
	encoding := kube.EncodingOf(value)
	return encoding == kube.Protobuf || encoding == kube.JSON || encoding == kube.CBOR
}

var errDecrypt = errors.New("can't be decrypted with this key")

func (k key) decrypt(data []byte, etcdKey string) ([]byte, error) {
	if k.provider == secretBox {
		return openSecretbox(data, k.secret)
	}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	if k.provider == aescbc {
		return openCBC(block, data)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if len(data) < gcm.NonceSize() {
		return nil, errDecrypt
	}
	return gcm.Open(nil, data[:gcm.NonceSize()], data[gcm.NonceSize():], []byte(etcdKey))
}

// openCBC decrypts what begins with its initialization vector and is padded as PKCS #7 has it.
func openCBC(block cipher.Block, data []byte) ([]byte, error) {
	if len(data) < 2*aes.BlockSize || len(data)%aes.BlockSize != 0 {
		return nil, errDecrypt
	}
	plain := make([]byte, len(data)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, data[:aes.BlockSize]).CryptBlocks(plain, data[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errDecrypt
	}
	return plain[:len(plain)-padding], nil
}

func openSecretbox(data, secret []byte) ([]byte, error) {
	const nonceSize = 24
	if len(data) < nonceSize {
		return nil, errDecrypt
	}
	plain, ok := secretbox.Open(nil, data[nonceSize:], (*[nonceSize]byte)(data), (*[secretboxKey]byte)(secret))
	if !ok {
		return nil, errDecrypt
	}
	return plain, nil
}
