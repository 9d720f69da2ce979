package rketools

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot/peer"
)

// parsed is what a call makes of its flags and variables, without what is the same for all calls.
type parsed struct {
	save     *saveOptions
	remove   *deleteOptions
	download *downloadOptions
	extract  *call
	serve    *call
	identity peer.Identity
}

// parse runs the command line with actions that only look.
func parse(t *testing.T, args ...string) (p parsed, level string, err error) {
	t.Helper()
	plain := func(c *call) {
		level = c.log.GetLevel().String()
		*c = call{name: c.name, s3: c.s3}
	}
	app := newApp(process{stdout: io.Discard, stderr: io.Discard, do: actions{
		save:             func(_ context.Context, o saveOptions) error { plain(&o.call); p.save = &o; return nil },
		remove:           func(_ context.Context, o deleteOptions) error { plain(&o.call); p.remove = &o; return nil },
		download:         func(_ context.Context, o downloadOptions) error { plain(&o.call); p.download = &o; return nil },
		extractStateFile: func(_ context.Context, c call) error { plain(&c); p.extract = &c; return nil },
		serve: func(_ context.Context, c call, id peer.Identity) error {
			plain(&c)
			p.serve, p.identity = &c, id
			return nil
		},
	}})
	err = dispatch(t.Context(), app, append([]string{Binary, Command}, args...))
	return p, level, err
}

var trio = []string{"--cacert", "ca", "--cert", "cert", "--key", "key"}

func TestFlagsHaveTheDefaultsOfTheContract(t *testing.T) {
	p, level, err := parse(t, "save")
	must(t, err)
	want := saveOptions{
		endpoints: []string{"127.0.0.1:2379"}, creation: 5 * time.Minute, retention: 24 * time.Hour, backupRetries: 4, s3Retries: 3,
	}
	if !reflect.DeepEqual(*p.save, want) || level != "info" {
		t.Errorf("save has %+v, level %s", *p.save, level)
	}
}

func TestFlagsOfTheCallsAreRead(t *testing.T) {
	s3 := s3Options{endpoint: "s3.example.com", bucket: "b", region: "r", ca: "Y2E=", folder: "f"}
	noRegion := s3
	noRegion.region = ""
	s3Args := []string{"--s3-endpoint=s3.example.com", "--s3-bucketName=b", "--s3-region=r", "--s3-endpoint-ca=Y2E=", "--s3-folder=f"}
	rolling := saveOptions{
		call: call{name: "etcd-rolling-snapshots"}, endpoints: []string{"10.0.0.1:2379"}, cacert: "ca", cert: "cert", key: "key",
		creation: 12 * time.Hour, retention: 72 * time.Hour, backupRetries: 4, s3Retries: 3,
	}
	once := rolling
	once.call, once.once = call{name: "n", s3: &noRegion}, true
	saveArgs := func(name string, more ...string) []string {
		return slices.Concat([]string{"save"}, trio, []string{"--name", name, "--endpoints=10.0.0.1:2379"}, more)
	}
	retried := once
	retried.backupRetries, retried.s3Retries = 0, 7
	id := peer.Identity{CACert: "ca", Cert: "cert", Key: "key"}
	for name, test := range map[string]struct {
		args []string
		want parsed
	}{
		"rolling": {saveArgs("etcd-rolling-snapshots", "--retention=72h", "--creation=12h"), parsed{save: &rolling}},
		"once with S3": {
			saveArgs("n", slices.Concat([]string{"--once", "--creation=12h", "--retention=72h", "--s3-backup=true"}, s3Args, []string{"--s3-region="})...),
			parsed{save: &once},
		},
		"bare switches last": {
			saveArgs("n", slices.Concat(s3Args, []string{"--s3-region", "", "--creation", "12h", "--retention", "72h", "--backup-retries=0", "--s3-retries", "7", "--s3-backup", "--once"})...),
			parsed{save: &retried},
		},
		"remove":          {slices.Concat([]string{"delete", "--name", "n", "--s3-backup"}, s3Args), parsed{remove: &deleteOptions{call: call{name: "n", s3: &s3}}}},
		"remove here":     {[]string{"delete", "--name", "n"}, parsed{remove: &deleteOptions{call: call{name: "n"}}}},
		"cleanup":         {slices.Concat([]string{"delete", "--name=n", "--cleanup", "--s3-backup"}, s3Args), parsed{remove: &deleteOptions{call: call{name: "n", s3: &s3}, cleanup: true}}},
		"download":        {slices.Concat([]string{"download", "--name", "n", "--s3-backup=true"}, s3Args), parsed{download: &downloadOptions{call: call{name: "n", s3: &s3}}}},
		"from peer":       {slices.Concat([]string{"download", "--name", "n", "--local-endpoint", "10.0.0.2"}, trio), parsed{download: &downloadOptions{call: call{name: "n"}, localEndpoint: "10.0.0.2", identity: id}}},
		"serve":           {slices.Concat([]string{"serve", "--name", "n"}, trio), parsed{serve: &call{name: "n"}, identity: id}},
		"state file":      {[]string{"extractstatefile", "--name", "n", "--creation=0h", "--retention=0h"}, parsed{extract: &call{name: "n"}}},
		"state file, S3":  {slices.Concat([]string{"extractstatefile", "--name", "n", "--creation=12h", "--retention=72h", "--s3-backup=true"}, s3Args), parsed{extract: &call{name: "n", s3: &s3}}},
		"S3 switched off": {slices.Concat([]string{"download", "--name", "n", "--s3-backup=false"}, s3Args), parsed{download: &downloadOptions{call: call{name: "n"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := parse(t, test.args...)
			must(t, err)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestVariablesAreReadAndFlagsComeFirst(t *testing.T) {
	for name, value := range map[string]string{
		"RANCHER_DEBUG": "true", "ETCD_CACERT": "ca", "ETCD_CERT": "cert", "ETCD_KEY": "key", "LOCAL_ENDPOINT": "10.0.0.2", "S3_BACKUP": "true",
		"S3_ENDPOINT": "e", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s", "S3_BUCKET_NAME": "b", "S3_BUCKET_REGION": "r", "S3_ENDPOINT_CA": "c", "S3_FOLDER": "f",
	} {
		t.Setenv(name, value)
	}
	s3 := s3Options{endpoint: "e", accessKey: "a", secretKey: "s", bucket: "b", region: "r", ca: "c", folder: "f"}
	p, level, err := parse(t, "download", "--name", "n")
	must(t, err)
	want := downloadOptions{call: call{name: "n", s3: &s3}, localEndpoint: "10.0.0.2", identity: peer.Identity{CACert: "ca", Cert: "cert", Key: "key"}}
	if !reflect.DeepEqual(*p.download, want) || level != "debug" {
		t.Errorf("got %+v, level %s", *p.download, level)
	}
	p, _, err = parse(t, "save", "--cacert=x", "--s3-folder=", "--s3-region", "y")
	must(t, err)
	if got := p.save; got.cacert != "x" || got.s3.folder != "" || got.s3.region != "y" || got.s3.endpoint != "e" {
		t.Errorf("got %+v with %+v", *got, *got.s3)
	}
	p, level, err = parse(t, "delete", "--name", "n") // it has no variable for the switch, and no debug
	must(t, err)
	if p.remove.s3 != nil || level != "info" {
		t.Errorf("delete got %+v, level %s", *p.remove, level)
	}
	p, _, err = parse(t, "delete", "--name", "n", "--s3-backup")
	must(t, err)
	if !reflect.DeepEqual(*p.remove.s3, s3) {
		t.Errorf("delete got %+v", *p.remove.s3)
	}
}

func TestExitStatusesAreThoseOfTheContract(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
		last   string // a part of the last line
	}{
		"help":               {[]string{Binary, "--help"}, 0, ""},
		"no word":            {[]string{Binary}, 0, ""},
		"no subcommand":      {[]string{Binary, Command}, 0, ""},
		"help of all":        {[]string{Binary, Command, "--help"}, 0, ""},
		"help of one":        {[]string{Binary, Command, "save", "--help"}, 0, ""},
		"help word":          {[]string{Binary, Command, "help", "delete"}, 0, ""},
		"unknown subcommand": {[]string{Binary, Command, "restore"}, 3, "restore"},
		"unknown word":       {[]string{Binary, "rolling-backup"}, 3, "rolling-backup"},
		"unknown flag":       {[]string{Binary, Command, "save", "--nope"}, 1, "--nope"},
		"no debug":           {[]string{Binary, Command, "delete", "--debug"}, 1, "--debug"},
		"no duration":        {[]string{Binary, Command, "save", "--creation=12"}, 1, "--creation"},
		"an argument":        {[]string{Binary, Command, "delete", "snap1"}, 1, "snap1"},
		"no certificates":    {[]string{"etcd-rolling-backup", Command, "--debug", "save"}, 1, "Failed to find etcd cert or key paths"},
		"global debug":       {[]string{Binary, "--debug", Command, "save", "--creation=0h"}, 1, "Creation period and/or retention are not set"},
		"no name":            {[]string{Binary, Command, "delete"}, 1, "snapshot name is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(RootVariable, t.TempDir())
			var out bytes.Buffer
			status := Main(t.Context(), "test", test.args, &out, &out)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; status != test.status || !strings.Contains(last, test.last) {
				t.Errorf("exit status %d, last line %s", status, last)
			}
		})
	}
}

func TestWantedByWordOrName(t *testing.T) {
	for line, want := range map[string]bool{
		"etcd-rolling-backup etcd-backup save": true, "/opt/rke-tools/rke-etcd-backup etcd-backup save": true, "rke-etcd-backup": true,
		"rke-etcd-backup list": true, "rke-etcd-backup child": false, "etcd-rolling-backup": false, "etcd-rolling-backup save": false, "": false,
	} {
		if got := Wanted(strings.Fields(line), "child"); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

func TestKeysAreDecodedIfTheyArePrintable(t *testing.T) {
	for name, test := range map[string]struct{ key, want string }{
		"key ID of AWS":               {"AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"},
		"secret of AWS":               {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		"key ID in base64":            {"QUtJQUlPU0ZPRE5ON0VYQU1QTEU=", "AKIAIOSFODNN7EXAMPLE"},
		"base64 of 30 letters has 40": {"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIz", "abcdefghijklmnopqrstuvwxyz0123"},
		"line break in base64":        {"YWJjCg==", "abc"},
		"line break":                  {"a-b\n", "a-b"},
		"empty":                       {"", ""},
	} {
		if got := plainKey(test.key); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestBucketOfTheFlags(t *testing.T) {
	for name, test := range map[string]struct {
		o                s3Options
		endpoint, lookup string
		keys             bool
		fails            string
	}{
		"IAM":           {s3Options{bucket: "b"}, "", "", false, ""},
		"keys":          {s3Options{endpoint: "minio:9000", accessKey: "a-b", secretKey: "c-d"}, "minio:9000", "", true, ""},
		"https":         {s3Options{endpoint: "https://minio:9000"}, "minio:9000", "", false, ""},
		"aliyun":        {s3Options{endpoint: "oss-cn-hangzhou.aliyuncs.com"}, "oss-cn-hangzhou.aliyuncs.com", "dns", false, ""},
		"http":          {s3Options{endpoint: "http://minio:9000"}, "", "", false, "TLS"},
		"one key":       {s3Options{endpoint: "minio", accessKey: "a-b"}, "", "", false, "go together"},
		"keys for whom": {s3Options{accessKey: "a-b", secretKey: "c-d"}, "", "", false, "--s3-endpoint is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := test.o.config()
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v", err)
				}
				return
			}
			must(t, err)
			if c.Endpoint != test.endpoint || c.Lookup != test.lookup || (c.Keys != nil) != test.keys || !c.FindRegion {
				t.Errorf("got %+v", c)
			}
		})
	}
}
