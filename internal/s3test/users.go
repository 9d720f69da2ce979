package s3test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// MinimalPolicy is the S3 policy with the minimum rights of a backup in a bucket: to list the keys that begin with prefix ("": all),
// and to put, get and delete these objects, but not their old versions, which MinIO includes in the right to delete. It does not allow requests about the bucket itself or other buckets.
func MinimalPolicy(bucket, prefix string) string {
	list := map[string]any{"Effect": "Allow", "Action": []string{"s3:ListBucket"}, "Resource": []string{"arn:aws:s3:::" + bucket}}
	if prefix != "" {
		list["Condition"] = map[string]any{"StringLike": map[string]any{"s3:prefix": []string{prefix + "*"}}}
	}
	objects := map[string]any{
		"Effect":   "Allow",
		"Action":   []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject"},
		"Resource": []string{"arn:aws:s3:::" + bucket + "/" + prefix + "*"},
	}
	versions := map[string]any{
		"Effect": "Deny", "Action": []string{"s3:DeleteObjectVersion"}, "Resource": []string{"arn:aws:s3:::" + bucket + "/" + prefix + "*"},
	}
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{list, objects, versions}}) // of strings only
	return string(text)
}

// AppendOnlyPolicy is [MinimalPolicy] without the right to delete.
func AppendOnlyPolicy(bucket, prefix string) string {
	return strings.Replace(MinimalPolicy(bucket, prefix), `,"s3:DeleteObject"`, "", 1)
}

// AddUser makes a user with its own policy, as JSON, and returns once both are in effect. For an existing user it rotates the secret:
// the old one is refused immediately. The access key has 3 to 20 characters, the secret 8 to 40.
func (s *Server) AddUser(ctx context.Context, accessKey, secretKey, policyJSON string) error {
	if err := s.SetSecret(ctx, accessKey, secretKey); err != nil {
		return err
	}
	return s.SetPolicy(ctx, accessKey, policyJSON)
}

// SetSecret gives a user a new secret key; the old one is refused from then on. If the user does not exist, it is made without a
// policy, and so without rights.
func (s *Server) SetSecret(ctx context.Context, accessKey, secretKey string) error {
	text, err := json.Marshal(map[string]string{"secretKey": secretKey, "status": "enabled"})
	if err != nil {
		return fmt.Errorf("add user %s: %w", accessKey, err)
	}
	sealed, err := seal(s.SecretKey, text)
	if err != nil {
		return fmt.Errorf("add user %s: %w", accessKey, err)
	}
	if err := s.admin(ctx, http.MethodPut, "add-user", url.Values{"accessKey": {accessKey}}, sealed); err != nil {
		return fmt.Errorf("add user %s: %w", accessKey, err)
	}
	return nil
}

// SetPolicy replaces the policy of a user, as JSON, from the next request on.
func (s *Server) SetPolicy(ctx context.Context, accessKey, policyJSON string) error {
	name := strings.ToLower("policy-of-" + accessKey)
	if err := s.admin(ctx, http.MethodPut, "add-canned-policy", url.Values{"name": {name}}, []byte(policyJSON)); err != nil {
		return fmt.Errorf("set policy of user %s: %w", accessKey, err)
	}
	attach := url.Values{"policyName": {name}, "userOrGroup": {accessKey}, "isGroup": {"false"}}
	if err := s.admin(ctx, http.MethodPut, "set-user-or-group-policy", attach, nil); err != nil {
		return fmt.Errorf("set policy of user %s: %w", accessKey, err)
	}
	return nil
}

// RemoveUser removes a user; their keys are refused from then on.
func (s *Server) RemoveUser(ctx context.Context, accessKey string) error {
	if err := s.admin(ctx, http.MethodDelete, "remove-user", url.Values{"accessKey": {accessKey}}, nil); err != nil {
		return fmt.Errorf("remove user %s: %w", accessKey, err)
	}
	return nil
}

// SetQuota limits a bucket to a size in bytes; 0 removes the limit. MinIO immediately refuses an object that alone reaches the limit.
// It counts the existing objects only after its scanner has seen them, which takes about a minute. So a limit of 1 makes a full bucket.
func (s *Server) SetQuota(ctx context.Context, bucket string, bytes uint64) error {
	quota := map[string]any{"size": bytes, "quota": bytes, "quotatype": "hard"}
	if bytes == 0 {
		quota = map[string]any{}
	}
	text, err := json.Marshal(quota)
	if err == nil {
		err = s.admin(ctx, http.MethodPut, "set-bucket-quota", url.Values{"bucket": {bucket}}, text)
	}
	if err != nil {
		return fmt.Errorf("set quota of bucket %s: %w", bucket, err)
	}
	return nil
}
