package etcdtest

// object is what is remembered of a generated object: its content follows from these alone, so that an update, which is the
// same object with the next generation, differs from the last as little as in a real cluster.
type object struct {
	kind  *kind
	seed  uint64
	gen   uint64
	batch int // the transaction that touched it last; a transaction must not touch a key twice
}

// kind is a resource of Kubernetes.
type kind struct {
	resource string // the key after /registry/
	weight   int    // how often it is created, of the sum of all
	leased   bool   // attached to a lease, as events are
	render   func(e *encoder, id identity, gen uint64)
}

// identity is what the parts of an object repeat.
type identity struct {
	namespace, app, name string
	node                 string
	created              uint64 // seconds after epoch
}

// kinds lists the resources with weights near those of a busy cluster, largest objects last.
func kinds() []kind {
	return []kind{
		{"events", 330, true, renderEvent},
		{"leases", 40, false, renderLease},
		{"services/endpointslices", 60, false, renderEndpointSlice},
		{"cert-manager.io/certificates", 60, false, renderCertificate},
		{"replicasets", 80, false, renderReplicaSet},
		{"secrets", 100, false, renderSecret},
		{"pods", 220, false, renderPod},
		{"configmaps", 105, false, renderConfigMap},
		{"apiextensions.k8s.io/customresourcedefinitions", 2, false, renderDefinition},
		{"helm", 3, false, renderRelease},
	}
}

// content returns the key and value of the object.
func (o object) content(e *encoder) (key, value string) {
	e.reset(o.seed)
	id := e.identity()
	e.buf = e.buf[:0]
	o.kind.render(e, id, o.gen)
	return "/registry/" + o.kind.resource + "/" + id.namespace + "/" + id.name, string(e.buf)
}

// identity draws the names of an object; it uses the buffer.
func (e *encoder) identity() identity {
	teams := [...]string{"payments", "search", "checkout", "platform", "monitoring", "identity", "media", "logistics"}
	stages := [...]string{"prod", "staging", "dev", "canary"}
	apps := [...]string{"api", "worker", "frontend", "gateway", "indexer", "scheduler", "exporter", "cache", "mailer", "ledger", "proxy", "importer"}
	id := identity{
		namespace: teams[e.rng.IntN(len(teams))] + "-" + stages[e.rng.IntN(len(stages))],
		app:       apps[e.rng.IntN(len(apps))],
		created:   e.rng.Uint64N(300 * 24 * 3600),
	}
	e.text(id.app, "-")
	e.suffix(10)
	e.text("-")
	e.suffix(5)
	id.name = string(e.buf)
	e.buf = e.buf[:0]
	e.text("node-")
	e.decimal(e.rng.Uint64N(200))
	e.text(".example.net")
	id.node = string(e.buf)
	return id
}

// envelope writes what the API server stores for built-in resources: a magic number and a message with the type and the object.
// See k8s.io/apimachinery/pkg/runtime/serializer/protobuf.
func (e *encoder) envelope(version, kind string, body func()) {
	e.text("k8s\x00")
	e.field(1, func() { e.string(1, version); e.string(2, kind) })
	e.field(2, body)
	e.string(3, "")
	e.string(4, "")
}

// metadata writes an ObjectMeta, with its field numbers.
func (e *encoder) metadata(id identity, owner, manager string, gen uint64) {
	e.field(1, func() {
		e.string(1, id.name)
		e.string(3, id.namespace)
		e.field(5, e.uid)
		e.number(7, gen+1)
		e.time(8, id.created)
		e.entry(11, "app.kubernetes.io/name", id.app)
		e.entry(11, "app.kubernetes.io/part-of", id.namespace)
		if owner != "" {
			e.field(13, func() { e.string(1, owner); e.string(3, id.app); e.field(4, e.uid); e.string(5, "apps/v1") })
		}
		if manager != "" {
			e.managed(id, manager, gen)
		}
	})
}

// managed writes a ManagedFieldsEntry: JSON inside of the protobuf, the most repetitive part of real objects.
func (e *encoder) managed(id identity, manager string, gen uint64) {
	e.field(17, func() {
		e.string(1, manager)
		e.string(2, "Update")
		e.string(3, "v1")
		e.time(4, id.created+60*gen)
		e.string(6, "FieldsV1")
		e.field(7, func() {
			e.text(`{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:labels":{".":{},"f:app.kubernetes.io/name":{},`,
				`"f:app.kubernetes.io/part-of":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"`)
			e.uid()
			e.text(`\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"`, id.app, `\"}":{".":{},"f:env":{".":{}},"f:image":{},`,
				`"f:imagePullPolicy":{},"f:name":{},"f:resources":{".":{},"f:limits":{},"f:requests":{}},"f:terminationMessagePath":{},`,
				`"f:volumeMounts":{".":{}}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{}}}`)
		})
	})
}
