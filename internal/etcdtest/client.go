package etcdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/proctest"
)

// Endpoints returns the voters' client URLs.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, m := range c.Members {
		urls = append(urls, m.ClientURL)
	}
	return urls
}

// Client connects to all voters, with the cluster's client certificate and, after EnableAuth, as root.
// Its requests end with the context; the caller closes it.
func (c *Cluster) Client(ctx context.Context) (*clientv3.Client, error) {
	return c.dial(ctx, c.Endpoints())
}

// Client connects to this member alone, otherwise as [Cluster.Client].
func (m *Member) Client(ctx context.Context) (*clientv3.Client, error) {
	return m.cluster.dial(ctx, []string{m.ClientURL})
}

func (c *Cluster) dial(ctx context.Context, endpoints []string) (*clientv3.Client, error) {
	user, password := c.credentials()
	config := clientv3.Config{
		Context:     ctx,
		Endpoints:   endpoints,
		DialTimeout: 10 * time.Second,
		Username:    user,
		Password:    password,
		Logger:      zap.NewNop(),
	}
	if c.PKI != nil {
		var err error
		if config.TLS, err = c.PKI.TLSConfig(); err != nil {
			return nil, err
		}
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to etcd %s at %s: %w", c.Version, strings.Join(endpoints, ","), err)
	}
	return client, nil
}

// EnableAuth makes a user root with the password and the role root, and enables authentication. Existing clients are refused from
// then on; Client, Etcdctl and AddLearner use the new credentials.
func (c *Cluster) EnableAuth(ctx context.Context, rootPassword string) error {
	client, err := c.Client(ctx)
	if err != nil {
		return fmt.Errorf("enable auth: %w", err)
	}
	defer client.Close()
	if _, err := client.RoleAdd(ctx, "root"); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return fmt.Errorf("add role root: %w", err)
	}
	if _, err := client.UserAdd(ctx, "root", rootPassword); err != nil {
		return fmt.Errorf("add user root: %w", err)
	}
	if _, err := client.UserGrantRole(ctx, "root", "root"); err != nil {
		return fmt.Errorf("grant role root: %w", err)
	}
	if _, err := client.AuthEnable(ctx); err != nil {
		return fmt.Errorf("enable auth: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.user, c.password = "root", rootPassword
	return nil
}

func (c *Cluster) credentials() (user, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user, c.password
}

// Etcdctl runs the etcdctl of the cluster's version against all voters and returns what it printed to stdout.
func (c *Cluster) Etcdctl(ctx context.Context, args ...string) ([]byte, error) {
	return c.etcdctl(ctx, c.Endpoints(), args)
}

// Etcdctl is like [Cluster.Etcdctl], but uses only this member, as `snapshot save` requires.
func (m *Member) Etcdctl(ctx context.Context, args ...string) ([]byte, error) {
	return m.cluster.etcdctl(ctx, []string{m.ClientURL}, args)
}

func (c *Cluster) etcdctl(ctx context.Context, endpoints, args []string) ([]byte, error) {
	flags := []string{"--endpoints=" + strings.Join(endpoints, ",")}
	if c.PKI != nil {
		flags = append(flags, "--cacert="+c.PKI.CACert, "--cert="+c.PKI.Client.Cert, "--key="+c.PKI.Client.Key)
	}
	if user, password := c.credentials(); user != "" {
		flags = append(flags, "--user="+user+":"+password)
	}
	return runTool(ctx, c.Version, "etcdctl", append(flags, args...))
}

// Etcdutl runs the etcdutl of a version, one of Versions, and returns what it printed to stdout. Version 3.4 has none:
// there, etcdctl has the subcommands `snapshot status` and `snapshot restore`.
func Etcdutl(ctx context.Context, version string, args ...string) ([]byte, error) {
	if version == "3.4" {
		return runTool(ctx, version, "etcdctl", args)
	}
	return runTool(ctx, version, "etcdutl", args)
}

// SnapshotStatus is etcd's status of a database file. The hash is over the keys and values, so files with the same content and
// a different layout have the same hash.
type SnapshotStatus struct {
	Hash      uint32 `json:"hash"`
	Revision  int64  `json:"revision"`
	TotalKey  int    `json:"totalKey"`  // revisions of keys, not keys
	TotalSize int64  `json:"totalSize"` // bytes in the file's pages
	Version   string `json:"version"`   // of the storage; empty before 3.6
}

// Status runs `snapshot status` of a version on a file that `snapshot save` made.
func Status(ctx context.Context, version, path string) (SnapshotStatus, error) {
	var status SnapshotStatus
	out, err := Etcdutl(ctx, version, "snapshot", "status", "--write-out=json", path)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return status, fmt.Errorf("read snapshot status %q: %w", out, err)
	}
	return status, nil
}

func runTool(ctx context.Context, version, name string, args []string) ([]byte, error) {
	program, err := Program(version, name)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = cleanEnv()
	if version == "3.4" { // later versions have only this API and warn about the variable
		cmd.Env = append(cmd.Env, "ETCDCTL_API=3")
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := bytes.TrimSpace(stderr.Bytes())
		return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s", name, version, err, text[max(0, len(text)-proctest.TailSize):])
	}
	return stdout.Bytes(), nil
}
