package rketools

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
)

// s3Silence is how long the S3 server may be silent. It is shorter than ours, because RKE waits for 300 seconds for everything together.
const s3Silence = 30 * time.Second

// setServer marks an error before a transfer, in the words of rke-tools.
func setServer(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failed to set s3 server: %w", err)
}

// openBucket asks nobody. Errors are those of setServer.
func (c call) openBucket() (*s3.Bucket, error) {
	cfg, err := c.s3.config()
	if err != nil {
		return nil, setServer(err)
	}
	b, err := source.OpenBucket(service.Noticing(&cfg, c.log))
	return b, setServer(err)
}

// config is the bucket as rke-tools reaches it: always with TLS. Errors wrap [config.ErrUsage].
func (o s3Options) config() (s3.Config, error) {
	c := s3.Config{
		Bucket: o.bucket, Endpoint: strings.TrimPrefix(o.endpoint, "https://"), Region: o.region, FindRegion: true, Folder: o.folder, CA: o.ca,
		Timeout: s3Silence, Stall: s3Silence,
	}
	if strings.Contains(o.endpoint, "aliyun") {
		c.Lookup = "dns"
	}
	access, secret := plainKey(o.accessKey), plainKey(o.secretKey)
	switch {
	case strings.HasPrefix(o.endpoint, "http://"):
		return c, config.Usagef("--s3-endpoint: %s: the keys and the snapshots would be sent without TLS: use a server with https", c.Endpoint)
	case access == "" && secret == "":
	case access == "" || secret == "":
		return c, config.Usagef("--s3-accessKey and --s3-secretKey ($S3_ACCESS_KEY and $S3_SECRET_KEY) go together: set both, or neither for the IAM role")
	case o.endpoint == "": // only the IAM role is Amazon's for sure
		return c, config.Usagef("--s3-endpoint is empty: set it to HOST or HOST:PORT of the server")
	default:
		c.Keys = &s3.Keys{Access: access, Secret: secret}
	}
	return c, nil
}

// plainKey decodes a key that is base64 of a printable text, as RKE passes it. A raw key may be valid base64 as well, of bytes that are not
// printable.
func plainKey(key string) string {
	key = strings.TrimSpace(key)
	decoded, err := base64.StdEncoding.DecodeString(key)
	text := strings.TrimSpace(string(decoded))
	if err != nil || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return key
	}
	return text
}
