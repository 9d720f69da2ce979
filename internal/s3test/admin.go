package s3test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"etcd-rolling-backup/internal/proctest"
)

// adminLimit bounds one request to the admin API.
const adminLimit = 20 * time.Second

// admin calls MinIO's admin API, version 3, as root. MinIO's own library is not used: it is under the AGPL, and adds about forty
// packages for the few calls needed here.
func (s *Server) admin(ctx context.Context, method, call string, query url.Values, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	at := s.URL() + "/minio/admin/v3/" + call + "?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	request.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	request = signer.SignV4(*request, s.AccessKey, s.SecretKey, "", "") // the admin API has no region
	response, err := (&http.Client{Transport: insecureTransport()}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, proctest.TailSize))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", call, response.Status, bytes.TrimSpace(text))
	}
	return nil
}

// The format in which the admin API takes secrets: salt, a byte for the algorithms, nonce, ciphertext.
// The key is derived from the caller's own secret key.
const (
	sealSaltSize   = 32
	sealNonceSize  = 8
	sealAlgorithms = 2 // PBKDF2 with SHA-256, AES-256-GCM
	sealRounds     = 8192
	sealKeySize    = 32
	sealMaxSize    = 16 << 10 // of one fragment; longer data would be cut into several
)

// seal encrypts data for the admin API. The ciphertext is a stream of the github.com/secure-io/sio-go format with one fragment:
// the nonce of GCM ends with the fragment's number, from 1 on, little endian. The additional authenticated data is a byte that marks
// the last fragment, and then the tag of an empty message with number 0.
func seal(password string, data []byte) ([]byte, error) {
	if len(data) > sealMaxSize {
		return nil, fmt.Errorf("encrypt %d bytes: at most %d fit in one fragment", len(data), sealMaxSize)
	}
	head := make([]byte, sealSaltSize+1+sealNonceSize)
	_, _ = rand.Read(head) // never fails
	head[sealSaltSize] = sealAlgorithms

	key, err := pbkdf2.Key(sha256.New, password, head[:sealSaltSize], sealRounds, sealKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := append(bytes.Clone(head[sealSaltSize+1:]), 0, 0, 0, 0)
	marked := gcm.Seal([]byte{0x80}, nonce, nil, nil)
	nonce[sealNonceSize] = 1
	return gcm.Seal(head, nonce, data, marked), nil
}
