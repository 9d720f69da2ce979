package metrics

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"

	"etcd-rolling-backup/snapshot/keyfile"
)

func checkConfig(path string) error {
	err := web.Validate(path)
	if err == nil {
		return nil
	}
	if c, unread := readConfig(path); unread == nil { // the library's error does not name the user of an invalid hash
		for _, user := range slices.Sorted(maps.Keys(c.Users)) {
			if _, bad := bcrypt.Cost([]byte(c.Users[user])); bad != nil {
				err = fmt.Errorf("basic_auth_users: %s: %w: must be the password's bcrypt hash, as printed by `htpasswd -nB`", user, bad)
				break
			}
		}
		if bad := c.TLS.check(filepath.Dir(path)); bad != nil {
			err = bad
		}
	}
	return fmt.Errorf("%w %s: %w", ErrWebConfig, path, err)
}

// wantsTLS reports whether a web configuration file enables TLS, which takes effect only at the start.
func wantsTLS(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	c, err := readConfig(path)
	if err != nil {
		return false, fmt.Errorf("%w %s: %w", ErrWebConfig, path, err)
	}
	return c.TLS != nil, nil
}

// webConfig has the parts of a web configuration file that the library does not export.
type webConfig struct {
	TLS   *webTLS           `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"`
}

type webTLS struct {
	Cert string `yaml:"cert_file"`
	Key  string `yaml:"key_file"`
	CA   string `yaml:"client_ca_file"`
}

// check finds what the library, which reads these files itself, does not name: a key with a passphrase, and a byte order mark, which only our
// own readers skip. Relative paths begin at the configuration file.
func (t *webTLS) check(dir string) error {
	if t == nil {
		return nil
	}
	files := []*string{&t.Cert, &t.Key, &t.CA}
	for _, file := range files {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
	if _, err := keyfile.Pair(t.Cert, t.Key); errors.Is(err, keyfile.ErrPassphrase) || errors.Is(err, keyfile.ErrEncoding) {
		return err
	}
	for _, file := range files {
		if raw, err := os.ReadFile(*file); err == nil && len(keyfile.Unmark(raw)) < len(raw) {
			return fmt.Errorf("%s has a byte order mark: save it as UTF-8 without one", *file)
		}
	}
	return nil
}

// SecretFiles are the files of a web configuration that nobody else may read: itself if it has hashes of passwords, and the key. One that
// can't be read has none.
func SecretFiles(path string) (files []string) {
	c, err := readConfig(path)
	if err != nil {
		return nil
	}
	if len(c.Users) > 0 {
		files = append(files, path)
	}
	if c.TLS != nil && c.TLS.Key != "" {
		key := c.TLS.Key
		if !filepath.IsAbs(key) {
			key = filepath.Join(filepath.Dir(path), key)
		}
		files = append(files, key)
	}
	return files
}

func readConfig(path string) (webConfig, error) {
	var c webConfig
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(data, &c)
	}
	return c, err
}
