package etcdtest

// definitionGroup is the API group of the custom resources; the name of a definition ends with it.
const definitionGroup = "example.net"

// object identifies a generated object. Its content is computed from these fields only, so that an update, which is the same object
// with the next generation, changes as little as in a real cluster.
type object struct {
	kind  *kind
	seed  uint64
	gen   uint64
	batch int // the transaction that changed it last; a transaction must not change a key twice
}

// scope says whether the objects of a kind have a namespace and a lease.
type scope int

const (
	namespaced scope = iota
	leased           // in a namespace and with a lease of etcd, like events
	clustered        // in no namespace
)

// reference is the owner's kind in an owner reference.
type reference struct{ version, kind string }

// kind is a resource of Kubernetes.
type kind struct {
	resource string // the key after /registry/
	weight   int    // how often it is created, relative to the sum of all
	scope    scope
	render   func(e *encoder, id identity, gen uint64)
}

// identity has the values that several parts of an object contain.
type identity struct {
	namespace, app, name string
	node                 string
	created              uint64 // seconds after epoch
}

// kinds lists the resources with weights near those of a busy cluster, largest objects last.
func kinds() []kind {
	return []kind{
		{"events", 330, leased, renderEvent},
		{"leases", 40, namespaced, renderLease},
		{"endpointslices", 60, namespaced, renderEndpointSlice},
		{"cert-manager.io/certificates", 60, namespaced, renderCertificate},
		{"replicasets", 80, namespaced, renderReplicaSet},
		{"secrets", 100, namespaced, renderSecret},
		{"pods", 220, namespaced, renderPod},
		{"configmaps", 105, namespaced, renderConfigMap},
		{"apiextensions.k8s.io/customresourcedefinitions", 2, clustered, renderDefinition},
		{"secrets", 3, namespaced, renderRelease},
	}
}

// content returns the key and value of the object.
func (o object) content(e *encoder) (key, value string) {
	e.reset(o.seed)
	id := e.identity()
	e.buf = e.buf[:0]
	path := id.namespace + "/" + id.name
	if o.kind.scope == clustered {
		id.name += "." + definitionGroup
		id.namespace, path = "", id.name
	}
	o.kind.render(e, id, o.gen)
	return "/registry/" + o.kind.resource + "/" + path, string(e.buf)
}

// identity generates the names of an object; it uses the buffer.
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

// envelope writes the API server's format for built-in resources: a magic number and a message with the type and the object.
// See k8s.io/apimachinery/pkg/runtime/serializer/protobuf.
func (e *encoder) envelope(version, kind string, body func()) {
	e.text("k8s\x00")
	e.field(1, func() { e.string(1, version); e.string(2, kind) })
	e.field(2, body)
	e.string(3, "")
	e.string(4, "")
}

// metadata writes an ObjectMeta, with its field numbers, and a ManagedFieldsEntry for each manager.
func (e *encoder) metadata(id identity, owner reference, gen uint64, managers ...string) {
	e.field(1, func() {
		e.string(1, id.name)
		if id.namespace != "" {
			e.string(3, id.namespace)
		}
		e.field(5, e.uid)
		e.number(7, gen+1)
		e.time(8, id.created)
		e.labels(11, id)
		if owner.kind != "" {
			e.field(13, func() {
				e.string(1, owner.kind)
				e.string(3, id.app)
				e.field(4, e.uid)
				e.string(5, owner.version)
				e.number(6, 1) // controller
			})
		}
		for _, manager := range managers {
			e.managed(id, manager, gen)
		}
	})
}

// labels writes a map with the labels that an application's objects share, and with which their owner selects them.
func (e *encoder) labels(number uint64, id identity) {
	e.entry(number, "app.kubernetes.io/name", id.app)
	e.entry(number, "app.kubernetes.io/part-of", id.namespace)
}

// managed writes a ManagedFieldsEntry: JSON in the protobuf message, the most repetitive part of real objects.
func (e *encoder) managed(id identity, manager string, gen uint64) {
	e.field(17, func() {
		e.string(1, manager)
		e.string(2, "Update")
		e.string(3, "v1")
		e.time(4, id.created+60*gen)
		e.string(6, "FieldsV1")
		e.field(7, func() { e.field(1, func() { e.managedFields(id) }) })
	})
}

func (e *encoder) managedFields(id identity) {
	e.text(`{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:labels":{".":{},"f:app.kubernetes.io/name":{},`,
		`"f:app.kubernetes.io/part-of":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"`)
	e.uid()
	e.text(`\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"`, id.app, `\"}":{".":{},"f:env":{".":{}},"f:image":{},`,
		`"f:imagePullPolicy":{},"f:name":{},"f:resources":{".":{},"f:limits":{},"f:requests":{}},"f:terminationMessagePath":{},`,
		`"f:volumeMounts":{".":{}}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{}}}`)
}
