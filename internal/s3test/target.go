package s3test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Region is the region of every server here.
const Region = "us-east-1"

// Target is what a client needs to connect to an S3 server, directly or through a proxy, and what tests need that run on several
// implementations. It is a plain value: a copy with other keys is for another user.
type Target struct {
	CAFile    string // PEM file of the authority that signed the server's certificate; empty without TLS
	AccessKey string
	SecretKey string
	Has       Features

	endpoint string
	secure   bool
}

// Features says which features of S3 a server has, so that tests skip the others.
type Features struct {
	Checksums   bool // verifies x-amz-checksum-*; a server without it may still return the value that the client sent
	Credentials bool // refuses wrong keys and has policies
	ObjectLock  bool // has buckets with object lock
}

// Endpoint returns the server's 127.0.0.1:port.
func (t Target) Endpoint() string { return t.endpoint }

// URL returns the endpoint with its scheme, http:// or https://, without a slash at the end.
func (t Target) URL() string {
	if t.secure {
		return "https://" + t.endpoint
	}
	return "http://" + t.endpoint
}

// As returns the Target with another user's keys.
func (t Target) As(accessKey, secretKey string) Target {
	t.AccessKey, t.SecretKey = accessKey, secretKey
	return t
}

// Client returns a client that trusts CAFile only, uses path-style URLs, and tries each request once, so that a test sees each
// failure. It keeps no idle connections, which may belong to a server that has exited.
func (t Target) Client() (*minio.Client, error) {
	transport := insecureTransport()
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read CA: no certificate in %s", t.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return t.client(transport)
}

func (t Target) client(transport http.RoundTripper) (*minio.Client, error) {
	client, err := minio.New(t.endpoint, &minio.Options{
		Creds:        credentials.NewStaticV4(t.AccessKey, t.SecretKey, ""),
		Secure:       t.secure,
		Transport:    transport,
		Region:       Region, // otherwise the client requests it, which needs a permission
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1,
	})
	if err != nil {
		return nil, fmt.Errorf("make S3 client of %s: %w", t.URL(), err)
	}
	return client, nil
}

// insecureTransport trusts every certificate, for requests that must also work with an expired one.
func insecureTransport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, DisableCompression: true}
}

// BucketOptions describe a bucket. The zero value keeps only the newest version of an object.
type BucketOptions struct {
	Versioning bool // a removed or replaced object remains as a version
	ObjectLock bool // versions can be locked, which implies Versioning
}

// MakeBucket makes a bucket, as root of the server. It must not exist.
func (t Target) MakeBucket(ctx context.Context, name string, o BucketOptions) error {
	client, err := t.Client()
	if err != nil {
		return err
	}
	if err := client.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: Region, ObjectLocking: o.ObjectLock}); err != nil {
		return fmt.Errorf("make bucket %s: %w", name, err)
	}
	if o.Versioning && !o.ObjectLock {
		if err := client.EnableVersioning(ctx, name); err != nil {
			return fmt.Errorf("enable versioning of bucket %s: %w", name, err)
		}
	}
	return nil
}

// RemoveBucket removes a bucket; with force also everything in it: versions, locks in mode governance, unfinished uploads.
// A lock in mode compliance can't be removed, and gives an error.
func (t Target) RemoveBucket(ctx context.Context, name string, force bool) error {
	client, err := t.Client()
	if err != nil {
		return err
	}
	if force {
		if err := empty(ctx, client, name); err != nil {
			return fmt.Errorf("empty bucket %s: %w", name, err)
		}
	}
	if err := client.RemoveBucket(ctx, name); err != nil {
		return fmt.Errorf("remove bucket %s: %w", name, err)
	}
	return nil
}

func empty(ctx context.Context, client *minio.Client, bucket string) error {
	var errs []error
	for object := range client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		err := object.Err
		if err == nil {
			err = client.RemoveObject(ctx, bucket, object.Key, minio.RemoveObjectOptions{VersionID: object.VersionID, GovernanceBypass: true})
		}
		errs = append(errs, err)
	}
	for upload := range client.ListIncompleteUploads(ctx, bucket, "", true) {
		err := upload.Err
		if err == nil {
			err = client.RemoveIncompleteUpload(ctx, bucket, upload.Key)
		}
		if minio.ToErrorResponse(err).Code != minio.NoSuchUpload { // gofakes3's way to say that there is none
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
