package service

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
)

// restorer makes the command that restores a snapshot, with those of the daemon's settings that it needs. Keys are in files, of
// which it has the paths.
type restorer struct {
	program string
	flags   map[metrics.Place][]string
	member  func() string // its name; "": not known yet
}

// newRestorer is called when the daemon starts: relative paths begin in its directory, where nobody will paste the command.
func newRestorer(program string, cfg config.Config, member func() string) restorer {
	return restorer{program: program, member: member, flags: map[metrics.Place][]string{
		metrics.Local: dirFlags(cfg.Store.Dir), metrics.S3: bucketFlags(cfg.S3),
	}}
}

func dirFlags(dir string) []string {
	if dir == config.DefaultDir {
		return nil
	}
	return []string{"--dir", absolute(dir)}
}

// bucketFlags are those that restore needs, if they are not the default; flags that only matter for uploads are not. A CA may be a page
// of text, and restoreNotes has it.
func bucketFlags(b *s3.Config) []string {
	if b == nil {
		return nil
	}
	var flags []string
	for _, f := range []struct{ name, value, fallback string }{
		{"--s3-bucket", b.Bucket, ""},
		{"--s3-endpoint", b.Endpoint, ""},
		{"--s3-region", b.Region, ""},
		{"--s3-folder", b.Folder, ""},
		{"--s3-access-key-file", absolute(b.AccessKeyFile), ""},
		{"--s3-secret-key-file", absolute(b.SecretKeyFile), ""},
		{"--s3-ca", caPath(b.CA), ""},
		{"--s3-bucket-lookup", b.Lookup, config.DefaultS3Lookup},
		{"--s3-timeout", b.Timeout.String(), config.DefaultS3Timeout.String()},
		{"--s3-stall", b.Stall.String(), config.DefaultS3Stall.String()},
	} {
		if f.value != f.fallback && f.value != "" {
			flags = append(flags, f.name, f.value)
		}
	}
	if b.InsecureSkipVerify {
		flags = append(flags, "--s3-insecure-skip-verify")
	}
	return flags
}

// line is the command, as a shell reads it. It has --replace because there nearly always is old data; without any, the flag changes nothing.
func (r restorer) line(name string, from metrics.Place) string {
	words := []string{r.program, "restore", name, "--replace"}
	if member := r.member(); member != "" {
		words = append(words, "--name", member)
	}
	words = slices.Concat(words, []string{"--from", string(from)}, r.flags[from])
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// restoreNotes are what the command itself cannot say.
func restoreNotes(b *s3.Config) []string {
	notes := []string{
		"Stop etcd first. The content of its data directory is moved aside, not removed. If the directory is not /var/lib/etcd, add --data-dir; if its write-ahead log is elsewhere, add --wal-dir.",
		"A Kubernetes cluster: add --kubernetes. docs/RESTORE.md says what else must be stopped.",
		"Several members: restore all of them from this same snapshot, each with its own --name. While most of them are alive, restore none: replace the lost one, as in docs/RESTORE.md.",
	}
	if b == nil {
		return notes
	}
	if b.AccessKeyFile == "" {
		notes = append(notes, keyNote())
	}
	if isText(b.CA) {
		notes = append(notes, "From S3: add --s3-ca with a file of the certificate that the daemon was given as text.")
	}
	return notes
}

// keyNote says where the keys of S3 are if they are not in a file of ours.
func keyNote() string {
	if names := keyVariables(); len(names) > 0 {
		return "From S3: set " + inWords(names) + " as for the daemon."
	}
	return "From S3: the daemon gets its keys from an AWS profile or role. As another user, or on another machine, add --s3-access-key-file and --s3-secret-key-file."
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

// inWords lists words as people write them: a, b and c.
func inWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// isText distinguishes the content of a file, or base64 of it, from a path.
func isText(s string) bool {
	return strings.Contains(s, "\n") || strings.Contains(s, "-----BEGIN") || len(s) > 500
}

func caPath(ca string) string {
	if isText(ca) {
		return ""
	}
	return absolute(ca)
}

// absolute leaves a path as it is if the working directory is not known, and an empty one empty.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// shellWord quotes what a shell would split or expand.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
