//go:build kubernetes

package kubernetestest

import (
	"encoding/base64"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// What an API server encrypts, with any provider whose key is in its file, gives the same export as what it doesn't.
func TestEncryptedObjectsGiveTheSameExport(t *testing.T) {
	s := newShop(t, etcdVersions()[1])
	s.commands(t, "etcd-rolling-backup save --label plain")
	const what = "etcd-rolling-backup export namespace shop "
	plain, _ := s.commands(t, what+"--snapshot plain")
	flags := s.Args
	for _, provider := range []string{"aescbc", "aesgcm", "secretbox"} {
		s.writeJSON(t, provider, encryptionConfig("key1", provider, provider))
		must(t, s.Stop())
		s.Args = append(flags[:len(flags):len(flags)], "--encryption-provider-config="+s.dir+"/"+provider)
		must(t, s.boot(t))
		eventually(t, "the API server serves widgets", func() bool { _, _, status := s.shell(t, "kubectl get widgets -A"); return status == 0 })
		s.commands(t, "kubectl get secrets,configmaps,widgets -A -o json | kubectl replace -f -", "etcd-rolling-backup save --label "+provider)

		stored, _ := s.commands(t, "etcd-rolling-backup get /registry/secrets/shop/password -o raw --show-secrets --snapshot "+provider)
		if !strings.HasPrefix(stored, "k8s:enc:"+provider+":v1:key1:") {
			t.Fatalf("%s: not encrypted: %q", provider, stored)
		}
		if out, _ := s.commands(t, what+"--encryption-config "+provider+" --snapshot "+provider); out != plain {
			t.Errorf("%s: the export is another one:\n%s", provider, out)
		}
		s.wantRefusedKeys(t, provider)
	}
}

// wantRefusedKeys demands that without the right key each object that can't be decrypted is named, and the exit status is 1.
func (s *shop) wantRefusedKeys(t *testing.T, provider string) {
	t.Helper()
	s.writeJSON(t, "wrong", encryptionConfig("key1", provider, "wrong"))
	s.writeJSON(t, "missing", encryptionConfig("key2", provider, provider))
	from := " --snapshot " + provider
	for flag, why := range map[string]string{
		"":                             `encrypted with provider ` + provider + `, key "key1" (add --encryption-config`,
		" --encryption-config wrong":   `key "key1" in the encryption configuration is not the one that encrypted this`,
		" --encryption-config missing": `key "key1", which the encryption configuration lacks (it has ` + provider + ` key2,`,
	} {
		s.refused(t, 1, "etcd-rolling-backup get secret password -n shop"+from+flag, "/registry/secrets/shop/password: ", why, "--show-secrets")
		s.refused(t, 1, "etcd-rolling-backup export secret password -n shop"+from+flag, "left out: /registry/secrets/shop/password: ", why, "could not be decoded")
		out, failed, status := s.shell(t, "etcd-rolling-backup export namespace shop"+from+flag)
		if status != 1 || !strings.Contains(out, "kind: Deployment") || !strings.Contains(failed, "could not be decoded: 4 objects;") {
			t.Errorf("export of the rest%s: status %d\n%s\n%s", flag, status, out, failed)
		}
	}
}

// Only an API server can decrypt what its key management service encrypted: that is named, and the rest is exported.
func TestObjectsOfAKeyManagementServiceAreNamedAndRefused(t *testing.T) {
	s := newShop(t, etcdVersions()[0])
	_, err := etcdtest.Dial(t, s.etcd).Put(t.Context(), "/registry/secrets/shop/password", "k8s:enc:kms:v2:vault:\x0a\x10")
	must(t, err)
	config := encryptionConfig("key1", "aescbc", "aescbc")
	resources := config["resources"].([]map[string]any)
	kms := map[string]any{"kms": map[string]any{"apiVersion": "v2", "name": "vault", "endpoint": "unix:///run/vault.sock"}}
	resources[0]["providers"] = append([]map[string]any{kms}, resources[0]["providers"].([]map[string]any)...)
	s.writeJSON(t, "kms", config)
	s.commands(t, "etcd-rolling-backup save")
	const why = `encrypted by the key management service "vault": only an API server that can reach it can decrypt this`
	s.refused(t, 1, "etcd-rolling-backup get secret password -n shop --encryption-config kms", why)
	s.refused(t, 1, "etcd-rolling-backup export secret password -n shop --encryption-config kms", why, "could not be decoded: 1 object;")
	out, _, status := s.shell(t, "etcd-rolling-backup export namespace shop --encryption-config kms")
	if status != 1 || !strings.Contains(out, "kind: Deployment") || !strings.Contains(out, "name: registry") {
		t.Errorf("export of the rest: status %d\n%s", status, out)
	}
}

// encryptionConfig is an EncryptionConfiguration with one key of a provider first, so that new values are encrypted with it.
func encryptionConfig(name, provider, secret string) map[string]any {
	type object = map[string]any
	of := func(provider, name, secret string) object {
		text := base64.StdEncoding.EncodeToString([]byte((secret + strings.Repeat(".", 32))[:32]))
		return object{provider: object{"keys": []object{{"name": name, "secret": text}}}}
	}
	providers := []object{of(provider, name, secret)}
	for _, other := range []string{"aescbc", "aesgcm", "secretbox"} {
		if other != provider {
			providers = append(providers, of(other, "key1", other)) // to read what was written before
		}
	}
	return object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
		"resources": []object{{"resources": []string{"secrets", "configmaps", "widgets.example.org"}, "providers": append(providers, object{"identity": object{}})}},
	}
}
