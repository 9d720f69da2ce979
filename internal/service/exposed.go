package service

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot/keyfile"
)

// Exposure is a setting with which others can get at secrets: it works, and a person should know.
type Exposure struct{ Flag, Text string }

// Exposures finds secrets that other users can access, in files of their own, in the configuration file and on the command line, and
// connections that anyone on the way can read.
func Exposures(cfg config.Config, from config.Sources) (all []Exposure) {
	file := func(flag, path string) {
		if text := keyfile.Exposed(path); text != "" {
			all = append(all, Exposure{flag, text})
		}
	}
	clear := func(flag, address, what string) {
		if u, err := url.Parse(address); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			all = append(all, Exposure{flag, fmt.Sprintf("%s is not encrypted: anyone on the way can read %s: use https", u.Scheme+"://"+u.Host, what)})
		}
	}
	file("key", cfg.Etcd.Key)
	file("password-file", cfg.Etcd.PasswordFile)
	for _, endpoint := range cfg.Etcd.Endpoints {
		if !strings.Contains(endpoint, "://") && cfg.Etcd.CACert == "" && cfg.Etcd.Cert == "" {
			endpoint = "http://" + endpoint
		}
		clear("endpoints", endpoint, "the snapshots, which hold every secret of the cluster")
	}
	if b := cfg.S3; b != nil {
		file("s3-access-key-file", b.AccessKeyFile)
		file("s3-secret-key-file", b.SecretKeyFile)
		clear("s3-endpoint", b.Endpoint, "the snapshots, which hold every secret of the cluster")
	}
	for _, path := range metrics.SecretFiles(cfg.Monitor.WebConfig) {
		file("web-config", path)
	}
	file("heartbeat-url-file", cfg.Monitor.HeartbeatFile)
	for _, key := range from.FileSecrets {
		file(key, from.File)
	}
	for _, key := range from.EnvironmentSecrets {
		file(key, from.Environment)
	}
	for _, flag := range from.FlagSecrets {
		all = append(all, Exposure{flag, "every user of this machine can read its value in the process list: set it in the configuration file, or use a file of its own"})
	}
	return all
}

// warnExposed logs the Exposures.
func warnExposed(log logrus.FieldLogger, cfg config.Config, from config.Sources) {
	for _, e := range Exposures(cfg, from) {
		log.WithField("flag", "--"+e.Flag).Warn(e.Text)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
