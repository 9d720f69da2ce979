package command

import (
	"bytes"
	"errors"
	"fmt"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/keyfile"
	"etcd-rolling-backup/snapshot/kube"
	"etcd-rolling-backup/snapshot/kube/encryption"
)

// decrypter reads --encryption-config; nil: there is none.
func (c *call) decrypter() (kube.Decrypter, error) {
	path := c.String("encryption-config")
	if path == "" {
		return nil, nil
	}
	text, err := keyfile.Text(path)
	if err != nil {
		return nil, config.Usagef("read --encryption-config: %w", err)
	}
	keys, err := encryption.Read(bytes.NewReader(text))
	if err != nil {
		return nil, config.Usagef("--encryption-config: %s: %w", path, err)
	}
	return keys, nil
}

// withRemedy adds to the error of an object that is encrypted how to decrypt it.
func withRemedy(err error) error {
	if encrypted, ok := errors.AsType[*kube.EncryptedError](err); ok && encrypted.Provider != encryption.KMS {
		return fmt.Errorf("%w (add --encryption-config with the API server's file)", err)
	}
	return err
}
