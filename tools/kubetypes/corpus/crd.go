package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// addCRDs adds random definitions of custom resources as API servers store them, as JSON of v1beta1, with what the same code makes of them
// for a client: v1, with defaults.
func (c *corpus) addCRDs(count int, random *rand.Rand) error {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	storage := codecs.LegacyCodec(apiextensionsv1beta1.SchemeGroupVersion)
	client := codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	for i := range count {
		crd := &apiextensionsv1beta1.CustomResourceDefinition{}
		if err := fill(crd, random); err != nil {
			return err
		}
		if random.Intn(2) == 0 {
			conversion := &apiextensionsv1beta1.CustomResourceConversion{Strategy: apiextensionsv1beta1.WebhookConverter}
			if random.Intn(2) == 0 {
				conversion.ConversionReviewVersions = []string{"v1", "v1beta1"}
			}
			crd.Spec.Conversion = conversion
		}
		crd.SetGroupVersionKind(apiextensionsv1beta1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		var stored, shown bytes.Buffer
		// Straight from the fields, for a conversion would move what older servers stored. Twice, for the first time reads null as absent.
		for range 2 {
			stored.Reset()
			if err := c.json.Encode(crd, &stored); err != nil {
				return fmt.Errorf("encode as v1beta1: %w", err)
			}
			crd = &apiextensionsv1beta1.CustomResourceDefinition{}
			if err := json.Unmarshal(stored.Bytes(), crd); err != nil {
				return fmt.Errorf("decode v1beta1: %w", err)
			}
		}
		internal, err := runtime.Decode(storage, stored.Bytes())
		if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		if err := client.Encode(internal, &shown); err != nil {
			return fmt.Errorf("encode as v1: %w", err)
		}
		if err := c.write(fmt.Sprintf("stored-crd.%d", i), stored.Bytes(), shown.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
