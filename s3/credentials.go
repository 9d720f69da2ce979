package s3

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/snapshot/keyfile"
)

// Keys are an access key and its secret. They print as asterisks.
type Keys struct{ Access, Secret string }

// Format hides them from every verb of fmt, also inside structs.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") } // fmt cannot report an error

// MarshalText hides them from JSON and YAML.
func (Keys) MarshalText() ([]byte, error) { return []byte("***"), nil }

// credentials returns the keys, those in the files, or a chain of sources that is asked at the first call.
func (c Config) credentials(t http.RoundTripper) (*credentials.Credentials, error) {
	if c.Keys != nil {
		return credentials.NewStaticV4(c.Keys.Access, c.Keys.Secret, ""), nil
	}
	if c.AccessKeyFile != "" {
		access, accessErr := readKey("--s3-access-key-file", c.AccessKeyFile)
		secret, secretErr := readKey("--s3-secret-key-file", c.SecretKeyFile)
		if err := cmp.Or(accessErr, secretErr); err != nil {
			return nil, err
		}
		return credentials.NewStaticV4(access, secret, ""), nil
	}
	iam := &credentials.IAM{Client: &http.Client{Transport: t, Timeout: dialTimeout}}
	web := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != ""
	if web {
		iam.Endpoint = os.Getenv("AWS_ENDPOINT_URL_STS") // "" means Amazon's
	}
	found := &chain{providers: []source{
		{"environment", &credentials.EnvAWS{}, nil},
		{"AWS profile file", &credentials.FileAWSCredentials{}, profileFiles()},
	}}
	switch {
	case web:
		found.providers = append(found.providers, source{"web identity", iam, []string{os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")}})
	case !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true"):
		found.providers = append(found.providers, source{"IAM role", iam, []string{os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")}})
	}
	return credentials.New(found), nil
}

// profileFiles are those that minio-go reads for AWS profiles.
func profileFiles() []string {
	home, _ := os.UserHomeDir() // without one, minio-go reads none there
	return []string{
		cmp.Or(os.Getenv("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")),
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")),
	}
}

func readKey(flag, file string) (string, error) {
	text, err := keyfile.Text(file)
	if err != nil {
		return "", configError("read %s: %w", flag, shorten(err))
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return "", configError("read %s: %s must contain one word, the key", flag, file)
	}
	return key, nil
}

// shorten removes a long or multi-line path from an error, because the text of a CA may have been used as a path.
func shorten(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok && (len(path.Path) > 256 || strings.ContainsAny(path.Path, "\r\n")) {
		return path.Err
	}
	return err
}

type source struct {
	name     string
	provider credentials.Provider
	files    []string // that it reads, without a limit; "": none
}

// check refuses files that the provider would wait for or read without end.
func (s source) check() error {
	for _, file := range s.files {
		if file == "" {
			continue
		}
		if _, err := keyfile.Read(file); errors.Is(err, regular.ErrUnusable) {
			return configError("%s: %w", s.name, err)
		}
	}
	return nil
}

// chain uses the first source that has keys. minio-go's own chain continues as an anonymous user if there are none, which ends in
// a misleading "access denied". This one reports what it tried.
type chain struct {
	providers []source
	current   credentials.Provider
}

// RetrieveWithCredContext asks the sources in order.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var tried []string
	for _, s := range c.providers {
		if err := s.check(); err != nil {
			return credentials.Value{}, err
		}
		v, err := s.provider.RetrieveWithCredContext(cc)
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			c.current = s.provider
			return v, nil
		}
		tried = append(tried, s.name+": "+reason(err))
	}
	return credentials.Value{}, fmt.Errorf("%w: no keys: set --s3-access-key-file and --s3-secret-key-file (%s)",
		ErrCredentials, strings.Join(tried, "; "))
}

// Retrieve is for older callers in minio-go.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired reports whether the keys must be retrieved again.
func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }

// reason never quotes what a credential source returned: it may be a key.
func reason(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, fs.ErrNotExist):
		return "no file"
	}
	return plainText(err)
}
