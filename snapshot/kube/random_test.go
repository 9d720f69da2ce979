//go:build kubetypes

package kube

import (
	"path/filepath"
	"testing"
)

// `make test-kubetypes` writes the objects with Kubernetes' own code of several versions.
func TestRandomObjectsAreDecodedAsClientGoDoes(t *testing.T) {
	files, err := filepath.Glob("../../.cache/kubetypes/*.tar.zst")
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects to compare with: %v; make test-kubetypes writes them", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			t.Log(compareCorpus(t, file), "objects")
		})
	}
}
