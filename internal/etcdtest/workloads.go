package etcdtest

// Renderers of what makes up most of a cluster: pods and what stands around them. Field numbers follow k8s.io/api where that is
// cheap; nothing decodes them, they have to be as large and as repetitive as the real ones.

func renderEvent(e *encoder, id identity, gen uint64) {
	reasons := [...]string{"Pulled", "Created", "Started", "Unhealthy", "BackOff", "Scheduled", "FailedMount", "Killing"}
	reason := reasons[e.rng.IntN(len(reasons))]
	e.envelope("v1", "Event", func() {
		e.metadata(id, "", "", gen)
		e.field(2, func() {
			e.string(1, "Pod")
			e.string(2, id.namespace)
			e.string(3, id.name)
			e.field(4, e.uid)
			e.string(5, "v1")
			e.field(6, func() { e.decimal(e.rng.Uint64N(1e9)) })
			e.field(7, func() { e.text("spec.containers{", id.app, "}") })
		})
		e.string(3, reason)
		e.field(4, func() {
			e.text("Container image \"registry.example.net/", id.namespace, "/", id.app, ":v")
			e.decimal(e.rng.Uint64N(400))
			e.text("\" ", reason, " on machine ")
			e.prose(40)
		})
		e.field(5, func() { e.string(1, "kubelet"); e.string(2, id.node) })
		e.time(6, id.created)
		e.time(7, id.created+60*gen)
		e.number(8, gen+1)
		e.string(9, "Normal")
	})
}

func renderLease(e *encoder, id identity, gen uint64) {
	e.envelope("coordination.k8s.io/v1", "Lease", func() {
		e.metadata(id, "", "", gen)
		e.field(2, func() {
			e.field(1, func() { e.text(id.node, "_"); e.uid() })
			e.number(2, 40)
			e.time(4, id.created+10*gen)
		})
	})
}

func renderEndpointSlice(e *encoder, id identity, gen uint64) {
	e.envelope("discovery.k8s.io/v1", "EndpointSlice", func() {
		e.metadata(id, "Service", "kube-controller-manager", gen)
		for range 1 + e.rng.IntN(12) {
			e.field(2, func() {
				e.field(1, e.podIP)
				e.field(2, func() { e.number(1, 1); e.number(2, 1) })
				e.field(4, func() {
					e.string(1, "Pod")
					e.string(2, id.namespace)
					e.field(3, func() { e.text(id.app, "-"); e.suffix(10); e.text("-"); e.suffix(5) })
					e.field(4, e.uid)
				})
				e.string(6, id.node)
			})
		}
		e.field(3, func() { e.string(1, "http"); e.string(2, "TCP"); e.number(3, 8080) })
	})
}

func renderReplicaSet(e *encoder, id identity, gen uint64) {
	e.envelope("apps/v1", "ReplicaSet", func() {
		e.metadata(id, "Deployment", "kube-controller-manager", gen)
		e.field(2, func() {
			e.number(1, 1+e.rng.Uint64N(8))
			e.field(3, func() { e.podSpec(id) })
		})
		e.field(3, func() { e.number(1, gen); e.number(4, gen) })
	})
}

func renderPod(e *encoder, id identity, gen uint64) {
	e.envelope("v1", "Pod", func() {
		e.metadata(id, "ReplicaSet", "kube-controller-manager", gen)
		e.field(2, func() { e.podSpec(id) })
		e.field(3, func() {
			e.string(1, "Running")
			for _, condition := range [...]string{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
				e.field(2, func() { e.string(1, condition); e.string(2, "True"); e.time(4, id.created+30*gen) })
			}
			e.field(6, e.podIP)
			for range 1 + e.rng.IntN(3) {
				e.containerStatus(id, gen)
			}
			e.string(9, "Burstable")
		})
		e.managed(id, "kubelet", gen)
	})
}

func (e *encoder) podSpec(id identity) {
	e.field(1, func() {
		e.field(1, func() { e.text("kube-api-access-"); e.suffix(5) })
		e.string(2, "token ca.crt kube-root-ca.crt namespace metadata.namespace")
	})
	for range 1 + e.rng.IntN(3) {
		e.field(2, func() { e.container(id) })
	}
	e.string(3, "Always")
	e.string(6, "ClusterFirst")
	e.string(8, id.app)
	e.string(10, id.node)
	e.string(19, "default-scheduler")
	for _, taint := range [...]string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} {
		e.field(22, func() { e.string(1, taint); e.string(2, "Exists"); e.string(4, "NoExecute"); e.number(5, 300) })
	}
}

func (e *encoder) container(id identity) {
	e.string(1, id.app)
	e.field(2, func() {
		e.text("registry.example.net/", id.namespace, "/", id.app, "@sha256:")
		e.hex(64)
	})
	for range 3 + e.rng.IntN(16) {
		e.field(7, func() {
			e.field(1, func() { e.text("APP_"); e.prose(8) })
			e.field(2, func() { e.prose(e.size(4, 120)) })
		})
	}
	e.field(8, func() {
		e.entry(1, "cpu", "500m")
		e.entry(1, "memory", "512Mi")
		e.entry(2, "cpu", "100m")
		e.entry(2, "memory", "256Mi")
	})
	e.field(9, func() { e.string(1, "kube-api-access"); e.string(3, "/var/run/secrets/kubernetes.io/serviceaccount") })
	e.field(10, func() { e.string(1, "/healthz"); e.number(2, 8080); e.string(4, "HTTP") })
	e.string(13, "/dev/termination-log")
	e.string(14, "IfNotPresent")
}

func (e *encoder) containerStatus(id identity, gen uint64) {
	e.field(8, func() {
		e.string(1, id.app)
		e.field(2, func() { e.time(2, id.created+30*gen) })
		e.number(4, 1)
		e.number(5, gen)
		e.field(7, func() { e.text("registry.example.net/", id.namespace, "/", id.app, "@sha256:"); e.hex(64) })
		e.field(8, func() { e.text("containerd://"); e.hex(64) })
	})
}

func (e *encoder) podIP() {
	e.text("10.42.")
	e.decimal(e.rng.Uint64N(256))
	e.text(".")
	e.decimal(e.rng.Uint64N(256))
}
