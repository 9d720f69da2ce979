package metrics

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
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
	TLS   any               `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"`
}

func readConfig(path string) (webConfig, error) {
	var c webConfig
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(data, &c)
	}
	return c, err
}
