package etcdtest

import "strings"

// Generators for configuration objects: text, certificates, and the resources that the API server stores as JSON.

func renderConfigMap(e *encoder, id identity, gen uint64) {
	size := e.size(100, 30<<10)
	if e.rng.IntN(400) == 0 {
		size = e.size(100<<10, 500<<10) // a dashboard, or a bundle of CA certificates
	}
	e.envelope("v1", "ConfigMap", func() {
		e.metadata(id, reference{}, gen)
		e.field(2, func() {
			e.string(1, "config.yaml")
			e.field(2, func() {
				e.text("generation: ")
				e.decimal(gen)
				for end := len(e.buf) + size; len(e.buf) < end; {
					e.text("\n  - name: ", id.app, "-")
					e.suffix(4)
					e.text("\n    enabled: true\n    timeoutSeconds: ")
					e.decimal(e.rng.Uint64N(120))
					e.text("\n    description: ")
					e.prose(60)
				}
			})
		})
	})
}

func renderSecret(e *encoder, id identity, gen uint64) {
	e.envelope("v1", "Secret", func() {
		e.metadata(id, reference{}, gen, "kubectl-create")
		switch e.rng.IntN(3) {
		case 0:
			e.field(2, func() { e.string(1, "ca.crt"); e.field(2, func() { e.pem("CERTIFICATE", 800) }) })
			e.field(2, func() { e.string(1, "tls.crt"); e.field(2, func() { e.pem("CERTIFICATE", 1100) }) })
			e.field(2, func() { e.string(1, "tls.key"); e.field(2, func() { e.pem("RSA PRIVATE KEY", 1600) }) })
			e.string(3, "kubernetes.io/tls")
		case 1:
			e.field(2, func() { e.string(1, "token"); e.field(2, func() { e.base64(900) }) })
			e.string(3, "kubernetes.io/service-account-token")
		default:
			e.field(2, func() { e.string(1, "password"); e.field(2, func() { e.base64(24) }) })
			e.field(2, func() { e.string(1, "username"); e.string(2, id.app) })
			e.string(3, "Opaque")
		}
	})
}

// renderRelease writes a Helm release: gzip in base64 in a secret, which hardly compresses.
func renderRelease(e *encoder, id identity, gen uint64) {
	size := e.size(8<<10, 500<<10)
	e.envelope("v1", "Secret", func() {
		e.metadata(id, reference{}, gen, "helm")
		e.field(2, func() { e.string(1, "release"); e.field(2, func() { e.base64(size) }) })
		e.string(3, "helm.sh/release.v1")
	})
}

func renderCertificate(e *encoder, id identity, gen uint64) {
	e.jsonHead("cert-manager.io/v1", "Certificate", id, gen)
	e.text(`"spec":{"secretName":"`, id.name, `-tls","duration":"2160h0m0s","renewBefore":"360h0m0s","dnsNames":[`)
	for range 1 + e.rng.IntN(30) {
		e.text(`"`, id.app, `-`)
		e.suffix(6)
		e.text(`.`, id.namespace, `.svc.cluster.example.net",`)
	}
	e.text(`"localhost"],"issuerRef":{"group":"cert-manager.io","kind":"ClusterIssuer","name":"internal-ca"}},"status":{"conditions":[`,
		`{"lastTransitionTime":"`)
	e.rfc3339(id.created + 60*gen)
	e.text(`","message":"Certificate is up to date and has not expired","reason":"Ready","status":"True","type":"Ready"}],"revision":`)
	e.decimal(gen + 1)
	e.text(`}}`)
}

// renderDefinition writes a custom resource definition: one large schema with descriptions. The API server still stores it as v1beta1.
func renderDefinition(e *encoder, id identity, gen uint64) {
	end := e.size(20<<10, 300<<10)
	plural := strings.TrimSuffix(id.name, "."+definitionGroup)
	e.jsonHead("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", id, gen)
	e.text(`"spec":{"group":"`, definitionGroup, `","version":"v1","versions":[{"name":"v1","served":true,"storage":true}],"scope":"Namespaced",`,
		`"names":{"plural":"`, plural, `","singular":"`, plural, `","kind":"`, plural, `","listKind":"`, plural, `List"},`,
		`"conversion":{"strategy":"None"},"preserveUnknownFields":false,"validation":{"openAPIV3Schema":{"properties":{`)
	for len(e.buf) < end {
		e.text(`"field`)
		e.suffix(6)
		e.text(`":{"description":"`)
		e.prose(e.size(30, 300))
		e.text(`","type":"object","properties":{"name":{"description":"`)
		e.prose(50)
		e.text(`","type":"string"}},"required":["name"],"x-kubernetes-map-type":"atomic"},`)
	}
	e.text(`"kind":{"type":"string"}},"type":"object"}}}}`)
}

// jsonHead writes the beginning of a JSON object up to the end of its metadata.
func (e *encoder) jsonHead(version, kind string, id identity, gen uint64) {
	e.text(`{"apiVersion":"`, version, `","kind":"`, kind, `","metadata":{"creationTimestamp":"`)
	e.rfc3339(id.created)
	e.text(`","generation":`)
	e.decimal(gen + 1)
	e.text(`,"labels":{"app.kubernetes.io/name":"`, id.app, `","app.kubernetes.io/part-of":"`, id.namespace, `"},"managedFields":[`,
		`{"apiVersion":"`, version, `","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/name":{}}},`,
		`"f:spec":{".":{},"f:dnsNames":{},"f:issuerRef":{},"f:secretName":{}},"f:status":{"f:conditions":{}}},"manager":"controller",`,
		`"operation":"Update"}],"name":"`, id.name, `",`)
	if id.namespace != "" {
		e.text(`"namespace":"`, id.namespace, `",`)
	}
	e.text(`"uid":"`)
	e.uid()
	e.text(`"},`)
}
