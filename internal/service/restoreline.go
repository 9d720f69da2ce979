package service

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// restoreLine makes the command that restores a snapshot, as a shell on this node reads it, with the daemon's settings that the command does
// not get from the configuration file; of keys it has the paths. It is called when the daemon starts: relative paths begin in its directory,
// where nobody will paste the command. That has --replace because there nearly always is old data; without any, the flag changes nothing.
// member gives "" while its name is not known.
func restoreLine(program string, cfg config.Config, from config.Sources, member func() string) func(snapshot.Name, status.Place) string {
	flags := map[status.Place][]string{status.Local: DirFlags(cfg.Store.Dir, from), status.S3: BucketFlags(cfg.S3, from)}
	return func(name snapshot.Name, place status.Place) string {
		words := []string{program, "restore", name.String(), "--replace"}
		if member := member(); member != "" {
			words = append(words, "--name", member)
		}
		if cfg.S3 != nil {
			words = append(words, "--from", string(place))
		}
		if cfg.Journal.On {
			words = append(words, "--at", "latest")
		}
		return printable.Command(slices.Concat(words, from.FileFlags, flags[place])...)
	}
}

// DirFlags are those with which a command on this node finds the directory.
func DirFlags(dir string, from config.Sources) []string {
	if !filepath.IsAbs(dir) || from.Needs("dir", dir, config.DefaultDir) {
		return []string{"--dir", absolute(dir)}
	}
	return nil
}

// BucketFlags are those that restore needs to find the bucket; flags that only matter for uploads are not. With no Sources, they are for
// another node. A CA may be a page of text: BucketNotes say what is missing.
func BucketFlags(b *s3.Config, from config.Sources) []string {
	if b == nil {
		return nil
	}
	ca := b.CA
	if isText(ca) {
		ca = ""
	}
	var flags []string
	for _, f := range []struct {
		key, value, fallback string
		isPath               bool
	}{
		{"s3-bucket", b.Bucket, "", false},
		{"s3-endpoint", b.Endpoint, "", false},
		{"s3-region", b.Region, "", false},
		{"s3-folder", b.Folder, "", false},
		{"s3-access-key-file", b.AccessKeyFile, "", true},
		{"s3-secret-key-file", b.SecretKeyFile, "", true},
		{"s3-ca", ca, "", true},
		{"s3-bucket-lookup", b.Lookup, config.DefaultS3Lookup, false},
		{"s3-timeout", b.Timeout.String(), config.DefaultS3Timeout.String(), false},
		{"s3-stall", b.Stall.String(), config.DefaultS3Stall.String(), false},
		{"s3-version-id", b.VersionID, "", false},
	} {
		value := f.value
		if f.isPath {
			value = absolute(value)
		}
		if value != f.value || from.Needs(f.key, value, f.fallback) { // a relative path of the file means another one elsewhere
			flags = append(flags, "--"+f.key, value)
		}
	}
	for _, f := range []struct {
		key string
		on  bool
	}{{"s3-insecure-skip-verify", b.InsecureSkipVerify}, {"s3-versions", b.Versions}} {
		switch {
		case !from.Needs(f.key, strconv.FormatBool(f.on), strconv.FormatBool(false)):
		case f.on:
			flags = append(flags, "--"+f.key)
		default:
			flags = append(flags, "--"+f.key+"=false")
		}
	}
	return flags
}

// restoreNotes are what the command itself cannot say.
func restoreNotes(b *s3.Config, from config.Sources) []string {
	notes := []string{
		"Stop etcd first. Its data is moved aside, not removed. If the directory is not /var/lib/etcd, add --data-dir; if its write-ahead log is elsewhere, add --wal-dir.",
		"A Kubernetes cluster: add --kubernetes. docs/RESTORE.md says what else must be stopped.",
		"Several members: restore all of them from this same snapshot, each with its own --name. While most of them are alive, restore none: replace the lost one, as in docs/RESTORE.md.",
	}
	return append(notes, BucketNotes(b, from)...)
}

// BucketNotes are what BucketFlags cannot say.
func BucketNotes(b *s3.Config, from config.Sources) (notes []string) {
	if b == nil {
		return nil
	}
	switch names := keyVariables(); {
	case b.AccessKeyFile != "":
	case len(names) > 0:
		notes = append(notes, "From S3: set "+english.WordSeries(names, "and")+" as for the daemon.")
	default:
		notes = append(notes, "From S3: the daemon gets its keys from an AWS profile or role. As another user, or on another machine, add --s3-access-key-file and --s3-secret-key-file.")
	}
	if isText(b.CA) && !slices.Contains(from.FromFile, "s3-ca") {
		notes = append(notes, "From S3: add --s3-ca with a file of the certificate that the daemon was given as text.")
	}
	return notes
}

// keyVariables are those of the environment that the keys of S3 come from: the keys themselves, else what leads to them.
func keyVariables() []string {
	set := func(names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return os.Getenv(name) == "" })
	}
	access, secret := set("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"), set("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	if len(access) > 0 && len(secret) > 0 {
		return append([]string{access[0], secret[0]}, set("AWS_SESSION_TOKEN")...)
	}
	return set("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
}

// isText distinguishes the content of a file, or base64 of it, from a path.
func isText(s string) bool {
	return strings.Contains(s, "\n") || strings.Contains(s, "-----BEGIN") || len(s) > 500
}

// absolute leaves a path as it is if the working directory is not known, and an empty one empty.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil && path != "" {
		return full
	}
	return path
}
