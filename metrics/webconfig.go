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
	if c, unread := readConfig(path); unread == nil { // the library says what is wrong with a hash, and not with whose
		for _, user := range slices.Sorted(maps.Keys(c.Users)) {
			if _, bad := bcrypt.Cost([]byte(c.Users[user])); bad != nil {
				err = fmt.Errorf("basic_auth_users: %s: %w: give the password's bcrypt hash, as `htpasswd -nB` prints it", user, bad)
				break
			}
		}
	}
	return fmt.Errorf("%w %s: %w", ErrWebConfig, path, err)
}

// wantsTLS tells whether a web configuration file asks for TLS, which is decided at the start alone.
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

// webConfig is as much of a web configuration file as the library does not tell.
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
