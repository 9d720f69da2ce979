package config

import (
	"os"
	"strings"
	"time"

	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/peer"
)

// Etcd says how the member is reached.
type Etcd struct {
	Endpoints         []string // with or without http:// or https://
	CACert, Cert, Key string   // PEM files
	User              string
	PasswordFile      string        // takes precedence over Password
	Password          member.Secret // from etcdctl's environment variables; there is no flag for it
	Timeout           time.Duration // for each call but the snapshot stream
	Stall             time.Duration // longest wait for the next byte of that stream
}

// Member reads the password file and returns the connection as it is to be made now; member.Connect reads the certificates.
// It is called again for each run, so that changed files need no restart.
func (e Etcd) Member() (member.Config, error) {
	cfg := member.Config{
		Endpoints: e.Endpoints, CACert: e.CACert, Cert: e.Cert, Key: e.Key, User: e.User, Timeout: e.Timeout,
	}
	for _, endpoint := range e.Endpoints {
		if strings.Contains(endpoint, "@") { // endpoints are logged, and the password would be too
			return cfg, Usagef("--endpoints: use --user and --password-file, not a URL with user and password")
		}
	}
	password := string(e.Password)
	if e.PasswordFile != "" {
		text, err := os.ReadFile(e.PasswordFile)
		if err != nil {
			return cfg, Usagef("read --password-file: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return cfg, Usagef("--password-file: %s is empty", e.PasswordFile)
		}
	}
	switch {
	case e.User != "" && password == "":
		return cfg, Usagef("--user %s needs a password: set --password-file", e.User)
	case e.User == "" && e.PasswordFile != "":
		return cfg, Usagef("--password-file needs --user")
	case e.User != "":
		cfg.Password = member.Secret(password)
	}
	return cfg, cfg.Check()
}

// Identity is what this node shows to other members: etcd's own certificate.
func (e Etcd) Identity() (peer.Identity, error) {
	id := peer.Identity{CACert: e.CACert, Cert: e.Cert, Key: e.Key}
	if id.CACert == "" || id.Cert == "" || id.Key == "" {
		return id, Usagef("members identify each other by certificates: set --cacert, --cert and --key to those of etcd")
	}
	return id, nil
}

func (c Config) checkEtcd() error {
	if c.Etcd.Timeout <= 0 {
		return notPositive("etcd-timeout", c.Etcd.Timeout)
	}
	if c.Etcd.Stall <= 0 {
		return notPositive("stall-timeout", c.Etcd.Stall)
	}
	_, err := c.Etcd.Member()
	return err
}

// splitUser also understands etcdctl's variable, which may hold NAME:PASSWORD. On our own command line a password
// would be visible in the process list.
func splitUser(text string) (user string, password member.Secret, err error) {
	user, inUser, both := strings.Cut(text, ":")
	if both && text != os.Getenv("ETCDCTL_USER") {
		return "", "", Usagef("--user: %q: set only the name here, and the password in --password-file", user+":***")
	}
	if inUser == "" {
		inUser = os.Getenv("ETCDCTL_PASSWORD")
	}
	return user, member.Secret(inUser), nil
}
