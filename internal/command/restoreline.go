package command

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/metrics"
)

// restorer makes the command that restores a snapshot, with those of the daemon's flags that it needs. Keys stand in files, of
// which it has the paths.
type restorer struct {
	program string
	flags   map[metrics.Place][]string
	member  func() string // its name; "": not known yet
}

// newRestorer is to be called when the daemon starts: relative paths begin in its directory, where nobody pastes anything.
func newRestorer(c *cli.Context, member func() string) restorer {
	r := restorer{program: c.App.Name, flags: map[metrics.Place][]string{}, member: member}
	for place, flags := range map[metrics.Place][]cli.Flag{metrics.Local: dirFlags(), metrics.S3: s3Flags()} {
		for _, f := range flags {
			r.flags[place] = append(r.flags[place], given(c, f)...)
		}
	}
	return r
}

// line is the command, as a shell reads it. --replace is there for the data that nearly always is; where there is none it changes
// nothing.
func (r restorer) line(name string, from metrics.Place) string {
	words := []string{r.program, "restore", name, "--replace"}
	if member := r.member(); member != "" {
		words = append(words, "--name", member)
	}
	place := fromLocal
	if from == metrics.S3 {
		place = fromS3
	}
	words = slices.Concat(words, []string{"--from", place}, r.flags[from])
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// restoreNotes are what the command can't say by itself.
func restoreNotes(c *cli.Context) []string {
	notes := []string{
		"Stop etcd first. What is in its data directory is moved aside, not removed. Is that not /var/lib/etcd, add --data-dir; is its log kept elsewhere, add --wal-dir.",
		"A Kubernetes cluster: add --kubernetes. docs/RESTORE.md says what is to be stopped beside etcd.",
		"Several members: restore all of them from this same snapshot, each with its own --name. While most of them live, restore none: replace the lost one, as in docs/RESTORE.md.",
	}
	if !hasBucket(c) {
		return notes
	}
	if c.String("s3-access-key-file") == "" {
		notes = append(notes, keyNote())
	}
	if isText(c.String("s3-ca")) {
		notes = append(notes, "From S3: add --s3-ca with a file of the certificate that the daemon was given as text.")
	}
	return notes
}

// keyNote tells where the keys of S3 are that stand in no file of ours.
func keyNote() string {
	if names := keyVariables(); len(names) > 0 {
		return "From S3: set " + inWords(names) + " as for the daemon."
	}
	return "From S3: the daemon has its keys from an AWS profile or role. As another user, or elsewhere, add --s3-access-key-file and --s3-secret-key-file."
}

// keyVariables are those of the environment that the keys of S3 come from, in the order in which they are looked for: the keys
// themselves, else what leads to them.
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

// inWords is a list as people write it: a, b and c.
func inWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// uploading are the flags that only bring something to the bucket.
func uploading() []string {
	return []string{"s3-sse", "s3-storage-class", "s3-object-lock", "s3-object-lock-mode", "s3-upload-rate", "s3-checksum"}
}

// paths are the flags whose value is one.
func paths() []string { return []string{"dir", "s3-access-key-file", "s3-secret-key-file", "s3-ca"} }

// given is a flag as it would stand on a command line; nothing where it has its default, or where another command does not want
// it. A CA may be a page of text, and is left to who knows where it lies.
func given(c *cli.Context, f cli.Flag) []string {
	name := f.Names()[0]
	value := c.String(name)
	_, on := f.(*cli.BoolFlag)
	switch {
	case !c.IsSet(name), slices.Contains(uploading(), name), isText(value):
		return nil
	case on && c.Bool(name):
		return []string{"--" + name}
	case on, value == "":
		return nil
	case slices.Contains(paths(), name):
		value = absolute(value)
	}
	return []string{"--" + name, value}
}

// isText tells the content of a file, or base64 of it, from a word.
func isText(s string) bool {
	return strings.Contains(s, "\n") || strings.Contains(s, "-----BEGIN") || len(s) > 500
}

// absolute leaves a path as it is where nobody knows where it begins.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
