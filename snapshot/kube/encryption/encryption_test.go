package encryption

import (
	"crypto/aes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/kube"
)

const (
	storedKey = "/registry/secrets/web/a"
	secretA   = "0123456789abcdef0123456789abcdef"
	secretB   = "fedcba9876543210fedcba9876543210"
)

func config(provider, name, secret string) string {
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - %s:
          keys:
            - name: %s
              secret: %s
      - identity: {}
`, provider, name, base64.StdEncoding.EncodeToString([]byte(secret)))
}

func read(t *testing.T, text string) *Keys {
	t.Helper()
	keys, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// encrypted are values that the code of a kube-apiserver 1.36 encrypted with secretA as key1.
func encrypted(t *testing.T) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/kube-apiserver-1.36.json")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]byte{}
	if err := json.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func TestValuesOfAnAPIServerAreDecrypted(t *testing.T) {
	for provider, value := range encrypted(t) {
		decoder := kube.NewDecoder(read(t, config(provider, "key1", secretA)))
		object, err := decoder.Decode(storedKey, value)
		if err != nil || object.Kind != "Secret" || kube.Field(object.Fields, "metadata", "name") != "a" {
			t.Errorf("%s: %+v, %v", provider, object, err)
		}
	}
}

func TestWrongOrMissingKeyIsNamed(t *testing.T) {
	for provider, value := range encrypted(t) {
		var wrong *WrongKeyError
		if _, err := read(t, config(provider, "key1", secretB)).Decrypt(storedKey, value); !errors.As(err, &wrong) || wrong.KeyName != "key1" {
			t.Errorf("%s with a wrong key: %v", provider, err)
		}
		var missing *MissingKeyError
		_, err := read(t, config(provider, "key2", secretA)).Decrypt(storedKey, value)
		if !errors.As(err, &missing) || missing.Provider != provider || missing.KeyName != "key1" {
			t.Errorf("%s without its key: %v", provider, err)
		}
		for _, cut := range []int{len(value) - 1, len(value) - 16, len("k8s:enc:aescbc:v1:key1:") + 3} {
			if plain, err := read(t, config(provider, "key1", secretA)).Decrypt(storedKey, value[:cut]); err == nil {
				t.Errorf("%s cut off after %d bytes: decrypted to %q", provider, cut, plain)
			}
		}
		var named *kube.EncryptedError
		if _, err := kube.NewDecoder(nil).Decode(storedKey, value); !errors.As(err, &named) || named.Provider != provider || named.KeyName != "key1" {
			t.Errorf("%s without a configuration: %v", provider, err)
		}
	}
}

// aesgcm authenticates the key in etcd with the value, so that nobody can put one Secret in another's place.
func TestGCMValueOfAnotherKeyIsRefused(t *testing.T) {
	var wrong *WrongKeyError
	if _, err := read(t, config("aesgcm", "key1", secretA)).Decrypt("/registry/secrets/web/b", encrypted(t)["aesgcm"]); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

// Of 10,000 wrong keys of aescbc, about 40 leave a valid padding.
func TestWrongCBCKeyWithValidPaddingIsRefused(t *testing.T) {
	value := encrypted(t)["aescbc"]
	padded := 0
	for i := range 10_000 {
		secret := fmt.Appendf(nil, "%032d", i)
		block, err := aes.NewCipher(secret)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openCBC(block, value[len("k8s:enc:aescbc:v1:key1:"):]); err == nil {
			padded++
		}
		keys := &Keys{keys: []key{{provider: aescbc, name: "key1", secret: secret}}}
		if plain, err := keys.Decrypt(storedKey, value); err == nil {
			t.Fatalf("key %s decrypts to %q", secret, plain)
		}
	}
	if padded == 0 {
		t.Error("no wrong key left a valid padding")
	}
}

// A key that was replaced keeps its name in some clusters.
func TestEachKeyWithTheNameIsTried(t *testing.T) {
	text := config("aescbc", "key1", secretB)
	text = strings.Replace(text, "      - identity", "      - aescbc: {keys: [{name: key1, secret: "+base64.StdEncoding.EncodeToString([]byte(secretA))+"}]}\n      - identity", 1)
	if _, err := read(t, text).Decrypt(storedKey, encrypted(t)["aescbc"]); err != nil {
		t.Error(err)
	}
}

func TestKeyManagementServiceIsNamedAndRefused(t *testing.T) {
	for _, value := range []string{"k8s:enc:kms:v1:vault:\x01\x02", "k8s:enc:kms:v2:vault:\x01\x02"} {
		var kms *KMSError
		if _, err := read(t, config("aescbc", "key1", secretA)).Decrypt(storedKey, []byte(value)); !errors.As(err, &kms) || kms.Provider != "vault" {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestConfigurationOfK3sIsRead(t *testing.T) {
	text := `{"kind":"EncryptionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","resources":[{"resources":["secrets"],"providers":` +
		`[{"aescbc":{"keys":[{"name":"key1","secret":"` + base64.StdEncoding.EncodeToString([]byte(secretA)) + `"}]}},{"identity":{}}]}]}`
	if _, err := read(t, text).Decrypt(storedKey, encrypted(t)["aescbc"]); err != nil {
		t.Error(err)
	}
}

func TestConfigurationWithKMSIsRead(t *testing.T) {
	read(t, strings.Replace(config("aescbc", "key1", secretA), "      - identity",
		"      - kms: {apiVersion: v2, name: vault, endpoint: unix:///a.sock, timeout: 3s}\n      - identity", 1))
}

func TestInvalidConfigurationIsAnErrorWithItsLine(t *testing.T) {
	valid := config("aescbc", "key1", secretA)
	for _, c := range []struct {
		text, want string
		line       int
	}{
		{"", "empty", 0},
		{"kind: a\n b: c\n", "not valid YAML", 2},
		{valid + "---\n" + valid, "more than one document", 0},
		{"a: b\n", `unknown field "a"`, 1},
		{"[]", "must have fields", 1},
		{"apiVersion: v1\nkind: Pod\n", "not an EncryptionConfiguration", 1},
		{strings.Replace(valid, "resources:\n", "resource:\n", 1), `unknown field "resource"`, 3},
		{strings.Replace(valid, "aescbc", "aescbd", 1), `unknown field "aescbd"`, 6},
		{strings.Replace(valid, "secret:", "secrets:", 1), `unknown field "secrets"`, 9},
		{strings.Replace(valid, "name: key1", "name: ''", 1), "without a name", 8},
		{config("aescbc", "key1", "short"), "has 5 bytes", 8},
		{config("secretbox", "key1", "0123456789abcdef"), "has 16 bytes", 8},
		{strings.Replace(valid, "secret: ", "secret: '***", 1) + "'", "", 0},
		{strings.Replace(valid, "secret: MD", "secret: M%", 1), "not base64", 8},
		{strings.Replace(valid, "keys:", "keys: {}\n          key:", 1), `unknown field "key"`, 8},
		{"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n", "no resources", 1},
	} {
		var invalid *ConfigError
		_, err := Read(strings.NewReader(c.text))
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) || c.line > 0 && invalid.Line != c.line {
			t.Errorf("%q: got %v, want line %d with %q", c.text, err, c.line, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "MDEyMzQ1") {
			t.Errorf("shows a secret: %v", err)
		}
	}
}
