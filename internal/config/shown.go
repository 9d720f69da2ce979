package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const stars = "***"

var (
	userInURL  = regexp.MustCompile(`://[^,\s]*@`)
	queryInURL = regexp.MustCompile(`(://[^?,\s]*)\?[^,\s]*`)
)

// Shown is a value as others may see it: no password, no key, no URL that is a secret. A path is no secret, but what somebody wrote in its
// place may be one.
func Shown(key, value string) string {
	switch {
	case value == "":
		return ""
	case key == "heartbeat-url":
		if u, err := url.Parse(value); err == nil && u.Hostname() != "" && u.User == nil {
			return u.Scheme + "://" + u.Host + "/" + stars
		}
		return stars
	case key == "user":
		if name, _, both := strings.Cut(value, ":"); both {
			return name + ":" + stars
		}
	case strings.ContainsAny(value, "\n\r") || strings.Contains(value, "-----BEGIN") || key == "s3-ca" && len(value) > maxPath:
		return stars + " (the text itself, not a file)"
	case key == "key" || strings.HasSuffix(key, "-file"):
		if !filepath.IsAbs(value) && !strings.HasPrefix(value, ".") && strings.ContainsAny(value, "+=:") || len(value) > maxPath {
			return stars
		}
	}
	return queryInURL.ReplaceAllString(userInURL.ReplaceAllString(value, "://"+stars+"@"), "$1?"+stars)
}

const maxPath = 255

// IsSecret reports a value that nobody else may see. The text of a certificate is only too long to be shown.
func IsSecret(key, value string) bool {
	certificate := slices.Contains([]string{"cacert", "cert", "s3-ca"}, key) && !strings.Contains(value, "PRIVATE KEY")
	return !certificate && Shown(key, value) != value
}
