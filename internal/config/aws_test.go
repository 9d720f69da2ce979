package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// AWS's variables give the endpoint and the region where nothing of ours does, and without a bucket they mean nothing.
func TestVariablesOfAWS(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-1")
	t.Setenv("AWS_ENDPOINT_URL", "https://all.example/")
	if cfg, err := read(t); err != nil || cfg.S3 != nil {
		t.Errorf("without a bucket: %+v, %v", cfg.S3, err)
	}
	want := func(endpoint string, args ...string) {
		t.Helper()
		cfg, err := read(t, append(args, "--s3-bucket=backups")...)
		if err != nil || cfg.S3.Endpoint != endpoint || cfg.S3.Region != "eu-1" {
			t.Errorf("got %+v and %v, want %s", cfg.S3, err, endpoint)
		}
	}
	want("https://all.example/")
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://s3.example:9000")
	want("http://s3.example:9000")
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("s3-endpoint: file.example\n"), 0o600))
	want("http://s3.example:9000", "--config="+file) // as AWS_REGION: a variable precedes the file
	t.Setenv("ETCD_BACKUP_S3_ENDPOINT", "ours.example")
	want("ours.example", "--config="+file)
	want("flag.example", "--config="+file, "--s3-endpoint=flag.example")
}

// A variable that is set to nothing, as by a template, hides neither the next one nor the file.
func TestEmptyVariableCountsAsNotSet(t *testing.T) {
	for _, v := range []string{"ETCD_BACKUP_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "ETCD_BACKUP_S3_REGION", "AWS_REGION", "ETCD_BACKUP_ENDPOINTS", "ETCD_BACKUP_CACERT"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_ENDPOINT_URL", "https://all.example")
	t.Setenv("AWS_DEFAULT_REGION", "eu-2")
	t.Setenv("ETCDCTL_ENDPOINTS", "member.example:2379")
	t.Setenv("ETCDCTL_CACERT", "ca.pem")
	cfg, err := read(t, "--s3-bucket=backups")
	must(t, err)
	if s := cfg.S3; s.Endpoint != "https://all.example" || s.EndpointFrom != "$AWS_ENDPOINT_URL" || s.Region != "eu-2" {
		t.Errorf("%+v", s)
	}
	if e := cfg.Etcd; len(e.Endpoints) != 1 || e.Endpoints[0] != "member.example:2379" || e.CACert != "ca.pem" {
		t.Errorf("%+v", e)
	}
	t.Setenv("ETCD_BACKUP_S3_CA", "")
	if cfg, err := read(t); err != nil || cfg.S3 != nil {
		t.Errorf("without a bucket: %+v, %v", cfg.S3, err)
	}
	for _, v := range []string{"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "ETCDCTL_ENDPOINTS", "ETCD_BACKUP_S3_FOLDER", "ETCD_BACKUP_S3_APPEND_ONLY"} {
		t.Setenv(v, "")
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("s3-bucket: backups\ns3-endpoint: file.example\ns3-folder: prod\ns3-append-only: true\nendpoints: [a:1, b:2]\n"), 0o600))
	cfg, err = read(t, "--config="+file)
	must(t, err)
	if s := cfg.S3; s.Endpoint != "file.example" || s.Folder != "prod" || !s.AppendOnly || len(cfg.Etcd.Endpoints) != 2 {
		t.Errorf("%+v, %v", s, cfg.Etcd.Endpoints)
	}
	cfg, err = read(t, "--config="+file, "--s3-folder=flag")
	must(t, err)
	if cfg.S3.Folder != "flag" {
		t.Errorf("%+v", cfg.S3)
	}
}

// What we were given ourselves needs a bucket, also where a variable of AWS is set too.
func TestOwnSettingsNeedABucket(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "https://aws.example")
	t.Setenv("AWS_DEFAULT_REGION", "eu-1")
	refused := func(flag string, args ...string) {
		t.Helper()
		if _, err := read(t, args...); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), flag+" is given and --s3-bucket is not") {
			t.Errorf("%s: %v", args, err)
		}
	}
	refused("--s3-endpoint", "--s3-endpoint=flag.example")
	refused("--s3-region", "--s3-region=eu-2")
	refused("--s3-folder", "--s3-folder=a")
	t.Setenv("ETCD_BACKUP_S3_ENDPOINT", "ours.example")
	refused("--s3-endpoint")
}

// The error names the variable, not a flag that nobody gave.
func TestInvalidEndpointOfAWSIsNamedByItsVariable(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "https://aws.example/path")
	_, err := read(t, "--s3-bucket=backups")
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "$AWS_ENDPOINT_URL: https://aws.example has a path") || strings.Contains(err.Error(), "--s3-endpoint") {
		t.Errorf("%v", err)
	}
	_, err = read(t, "--s3-bucket=backups", "--s3-endpoint=https://flag.example/path")
	if err == nil || !strings.Contains(err.Error(), "--s3-endpoint: https://flag.example has a path") {
		t.Errorf("%v", err)
	}
}
