package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"

	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/snapshot/keyfile"
)

func checkConfig(path string) error {
	if path == "" {
		return nil
	}
	err := checkFiles(path)
	if err == nil {
		err = web.Validate(path)
	}
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
// own readers skip.
func (t *webTLS) check(dir string) error {
	if t == nil {
		return nil
	}
	if _, err := keyfile.Pair(under(dir, t.Cert), under(dir, t.Key)); errors.Is(err, keyfile.ErrPassphrase) || errors.Is(err, keyfile.ErrEncoding) {
		return err
	}
	for _, file := range t.files(dir) {
		if raw, err := keyfile.Read(file); err == nil && len(keyfile.Unmark(raw)) < len(raw) {
			return fmt.Errorf("%s has a byte order mark: save it as UTF-8 without one", file)
		}
	}
	return nil
}

// files are those that the library reads. Relative paths begin in dir, that of the configuration file.
func (t *webTLS) files(dir string) (files []string) {
	for _, file := range []string{t.Cert, t.Key, t.CA} {
		if file != "" {
			files = append(files, under(dir, file))
		}
	}
	return files
}

func under(dir, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// checkFiles refuses files that the library, which reads them again for each connection and each request, would wait for or read without
// end. What else is wrong with them, the library says.
func checkFiles(path string) error {
	if path == "" {
		return nil
	}
	c, err := readConfig(path)
	if err == nil && c.TLS != nil {
		for _, file := range c.TLS.files(filepath.Dir(path)) {
			_, unread := keyfile.Read(file)
			err = cmp.Or(err, unread)
		}
	}
	if errors.Is(err, regular.ErrUnusable) {
		return err
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
		files = append(files, under(filepath.Dir(path), c.TLS.Key))
	}
	return files
}

func readConfig(path string) (webConfig, error) {
	var c webConfig
	data, err := keyfile.Read(path)
	if err == nil {
		err = yaml.Unmarshal(data, &c)
	}
	return c, err
}
