package command

import (
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/metrics"
)

// restoreLine is the command that restores a snapshot, with those of the daemon's flags that it needs. Keys stand in files, of
// which it has the paths.
func restoreLine(c *cli.Context, name string, from metrics.Place) string {
	words := []string{c.App.Name, "restore", name}
	if from == metrics.S3 {
		words = append(words, "--from", fromS3)
		for _, f := range s3Flags() {
			words = append(words, given(c, f)...)
		}
	} else {
		words = append(words, "--from", fromLocal)
		for _, f := range dirFlags() {
			words = append(words, given(c, f)...)
		}
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// uploading are the flags that only bring something to the bucket.
func uploading() []string {
	return []string{"s3-sse", "s3-storage-class", "s3-object-lock", "s3-object-lock-mode", "s3-upload-rate", "s3-checksum"}
}

// given is a flag as it would stand on a command line; nothing where it has its default, or where another command does not want
// it. A CA may be a page of text, and is left to who knows where it lies.
func given(c *cli.Context, f cli.Flag) []string {
	name := f.Names()[0]
	value := c.String(name)
	_, on := f.(*cli.BoolFlag)
	switch {
	case !c.IsSet(name), slices.Contains(uploading(), name), strings.Contains(value, "\n"), len(value) > 500:
		return nil
	case on && c.Bool(name):
		return []string{"--" + name}
	case on, value == "":
		return nil
	}
	return []string{"--" + name, value}
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
