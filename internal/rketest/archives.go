package rketest

import (
	"archive/zip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"time"
)

// Archive writes a zip as the original does: deflated members with absolute names and no comment. Without a state file it has one member.
// database ends with etcd's digest, as `etcdctl snapshot save` writes it.
func Archive(w io.Writer, name string, database, state []byte) error {
	members := []member{{name: "/backup/" + name, mode: 0o600, content: database}}
	if state != nil {
		members = append(members, member{name: "/etc/kubernetes/" + name + ".rkestate", mode: 0o400, content: state})
	}
	return write(w, members)
}

// ArchiveRKE2 writes a zip as RKE2 and k3s do: one deflated member with the file's name.
func ArchiveRKE2(w io.Writer, name string, database []byte) error {
	return write(w, []member{{name: name, mode: 0o600, content: database}})
}

type member struct {
	name    string
	mode    fs.FileMode
	content []byte
}

func write(w io.Writer, members []member) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		header := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)}
		header.SetMode(m.mode)
		f, err := z.CreateHeader(header)
		if err == nil {
			_, err = f.Write(m.content)
		}
		if err != nil {
			return fmt.Errorf("write zip member %s: %w", m.name, err)
		}
	}
	return z.Close()
}

// State is a small state file, as RKE writes it: JSON, indented by two spaces.
func State(cluster string) []byte {
	return fmt.Appendf(nil, "{\n  \"desiredState\": {\n    \"rkeConfig\": {\n      \"clusterName\": %q\n    }\n  },\n  \"currentState\": {}\n}", cluster)
}

// secret is the answer of kubectl that holds a state file.
func secret(t testing.TB, state []byte) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]string{"name": "full-cluster-state", "namespace": "kube-system"},
		"data":     map[string]string{"full-cluster-state": base64.StdEncoding.EncodeToString(state)},
	})
	must(t, err)
	return text
}
