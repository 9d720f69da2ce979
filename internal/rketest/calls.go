package rketest

import (
	"encoding/base64"
	"fmt"
)

// The paths in RKE's containers.
const (
	Program   = "/opt/rke-tools/rke-etcd-backup"
	Kubectl   = "/usr/local/bin/kubectl"
	CA        = "/etc/kubernetes/ssl/kube-ca.pem"
	Cert      = "/etc/kubernetes/ssl/kube-node.pem"
	Key       = "/etc/kubernetes/ssl/kube-node-key.pem"
	StateFile = "/tmp/cluster.rkestate" // where RKE gets the extracted one
)

// Call is what RKE gives to Docker for one of its nine calls.
type Call struct {
	Container  string   // its name
	Args       []string // with the program as the first
	Env        []string
	Kubernetes bool // whether /etc/kubernetes is mounted; /backup always is
}

// Config is the part of RKE's cluster.yml that decides the calls.
type Config struct {
	ExtraEnv []string // services.etcd.extra_env
	Backup   *Backup  // services.etcd.backup_config
}

// Backup is a backup_config.
type Backup struct {
	IntervalHours int
	Retention     int // how many intervals
	S3            *S3
}

// S3 is an s3backupconfig. What is empty is not set.
type S3 struct {
	Endpoint, Bucket, Region, Folder string
	AccessKey, SecretKey             string
	CA                               string // PEM
}

// Rolling is the container that takes a snapshot again and again.
func (c Config) Rolling(ip string) Call {
	args := append([]string{"save"}, trio()...)
	args = append(args, "--name", "etcd-rolling-snapshots", "--endpoints="+ip+":2379")
	if c.Backup == nil {
		args = append(args, "--retention=72h", "--creation=12h")
	}
	return c.call("etcd-rolling-snapshots", true, append(args, c.backup()...))
}

// Once is `rke etcd snapshot-save`, on each node.
func (c Config) Once(name, ip string) Call {
	args := append([]string{"save"}, trio()...)
	args = append(args, "--name", name, "--endpoints="+ip+":2379", "--once")
	return c.call("etcd-snapshot-once", true, append(args, c.backup()...))
}

// Remove is how Rancher deletes a snapshot, on each node.
func (c Config) Remove(name string) Call {
	return c.call("etcd-remove-snapshot", false, append([]string{"delete", "--name", name}, c.s3("--s3-backup")...))
}

// Cleanup removes what a restore has unpacked, on each node.
func (c Config) Cleanup(name string) Call {
	return c.call("etcd-remove-snapshot", false, append([]string{"delete", "--name", name, "--cleanup"}, c.s3("--s3-backup")...))
}

// DownloadFromS3 gets the snapshot to be restored, on each node.
func (c Config) DownloadFromS3(name string) Call {
	return c.call("etcd-download-backup", true, append([]string{"download", "--name", name}, c.s3("--s3-backup=true")...))
}

// DownloadFromPeer gets it from the node that runs Serve. It has no environment.
func (Config) DownloadFromPeer(name, ip string) Call {
	args := append([]string{"download", "--name", name, "--local-endpoint", ip}, trio()...)
	return Config{}.call("etcd-download-backup", true, args)
}

// Serve offers the snapshot to the other nodes. It has no environment.
func (Config) Serve(name string) Call {
	return Config{}.call("etcd-Serve-backup", true, append([]string{"serve", "--name", name}, trio()...))
}

// ExtractStateFile puts the state file of a snapshot to StateFile.
func (c Config) ExtractStateFile(name string) Call {
	return c.call("etcd-extract-statefile", false, append([]string{"extractstatefile", "--name", name}, c.backup()...))
}

func (c Config) call(container string, kubernetes bool, args []string) Call {
	call := Call{Container: container, Kubernetes: kubernetes, Args: append([]string{Program, "etcd-backup"}, args...), Env: c.ExtraEnv}
	if c.Backup != nil && c.Backup.S3 != nil && c.Backup.S3.AccessKey+c.Backup.S3.SecretKey != "" {
		call.Env = append(append([]string{}, call.Env...),
			"S3_ACCESS_KEY="+base64.StdEncoding.EncodeToString([]byte(c.Backup.S3.AccessKey)),
			"S3_SECRET_KEY="+base64.StdEncoding.EncodeToString([]byte(c.Backup.S3.SecretKey)))
	}
	return call
}

func trio() []string { return []string{"--cacert", CA, "--cert", Cert, "--key", Key} }

func (c Config) backup() []string {
	if c.Backup == nil {
		return nil
	}
	return append([]string{
		fmt.Sprintf("--creation=%dh", c.Backup.IntervalHours),
		fmt.Sprintf("--retention=%dh", c.Backup.IntervalHours*c.Backup.Retention),
	}, c.s3("--s3-backup=true")...)
}

func (c Config) s3(first string) []string {
	if c.Backup == nil || c.Backup.S3 == nil {
		return nil
	}
	s := c.Backup.S3
	args := []string{first, "--s3-endpoint=" + s.Endpoint, "--s3-bucketName=" + s.Bucket, "--s3-region=" + s.Region}
	if s.CA != "" {
		args = append(args, "--s3-endpoint-ca="+base64.StdEncoding.EncodeToString([]byte(s.CA)))
	}
	if s.Folder != "" {
		args = append(args, "--s3-folder="+s.Folder)
	}
	return args
}
