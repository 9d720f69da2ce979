package etcdtest

// Generators for most objects of a cluster: pods and related objects. The field numbers are those of k8s.io/api, as listed in
// testdata/kubernetes.proto; the objects are as large and as repetitive as real ones.

func renderEvent(e *encoder, id identity, gen uint64) {
	reasons := [...]string{"Pulled", "Created", "Started", "Unhealthy", "BackOff", "Scheduled", "FailedMount", "Killing"}
	reason := reasons[e.rng.IntN(len(reasons))]
	e.envelope("v1", "Event", func() {
		e.metadata(id, reference{}, gen)
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
		e.metadata(id, reference{}, gen)
		e.field(2, func() {
			e.field(1, func() { e.text(id.node, "_"); e.uid() })
			e.number(2, 40)
			e.time(4, id.created+10*gen)
		})
	})
}

func renderEndpointSlice(e *encoder, id identity, gen uint64) {
	e.envelope("discovery.k8s.io/v1", "EndpointSlice", func() {
		e.metadata(id, reference{"v1", "Service"}, gen, "kube-controller-manager")
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
		e.string(4, "IPv4")
	})
}

func renderReplicaSet(e *encoder, id identity, gen uint64) {
	e.envelope("apps/v1", "ReplicaSet", func() {
		e.metadata(id, reference{"apps/v1", "Deployment"}, gen, "kube-controller-manager")
		replicas := 1 + e.rng.Uint64N(8)
		e.field(2, func() {
			e.number(1, replicas)
			e.field(2, func() { e.labels(1, id) })
			e.field(3, func() {
				e.field(1, func() { e.labels(11, id) })
				e.field(2, func() { e.podSpec(id, 1+e.rng.IntN(3)) })
			})
		})
		e.field(3, func() { e.number(1, replicas); e.number(3, gen+1); e.number(4, replicas); e.number(5, replicas) })
	})
}

func renderPod(e *encoder, id identity, gen uint64) {
	e.envelope("v1", "Pod", func() {
		e.metadata(id, reference{"apps/v1", "ReplicaSet"}, gen, "kube-controller-manager", "kubelet")
		containers := 1 + e.rng.IntN(3)
		e.field(2, func() { e.podSpec(id, containers); e.string(10, id.node) })
		e.field(3, func() {
			e.string(1, "Running")
			for _, condition := range [...]string{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
				e.field(2, func() { e.string(1, condition); e.string(2, "True"); e.time(4, id.created+30*gen) })
			}
			e.field(6, e.podIP)
			for i := range containers {
				e.field(8, func() { e.containerStatus(id, i, gen) })
			}
			e.string(9, "Burstable")
		})
	})
}

func (e *encoder) podSpec(id identity, containers int) {
	e.field(1, func() { e.string(1, "kube-api-access"); e.field(2, e.apiAccess) })
	for i := range containers {
		e.field(2, func() { e.container(id, i) })
	}
	e.string(3, "Always")
	e.string(6, "ClusterFirst")
	e.string(8, id.app)
	e.string(19, "default-scheduler")
	for _, taint := range [...]string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} {
		e.field(22, func() { e.string(1, taint); e.string(2, "Exists"); e.string(4, "NoExecute"); e.number(5, 300) })
	}
}

// apiAccess writes the VolumeSource that every pod has: a projected volume with a token, the cluster's CA and the namespace.
func (e *encoder) apiAccess() {
	e.field(26, func() {
		e.field(1, func() { e.field(4, func() { e.number(2, 3607); e.string(3, "token") }) })
		e.field(1, func() {
			e.field(3, func() {
				e.field(1, func() { e.string(1, "kube-root-ca.crt") })
				e.field(2, func() { e.string(1, "ca.crt"); e.string(2, "ca.crt") })
			})
		})
		e.field(1, func() {
			e.field(2, func() {
				e.field(1, func() {
					e.string(1, "namespace")
					e.field(2, func() { e.string(1, "v1"); e.string(2, "metadata.namespace") })
				})
			})
		})
		e.number(2, 0o644)
	})
}

func (e *encoder) container(id identity, i int) {
	e.field(1, func() { e.containerName(id, i) })
	e.field(2, func() { e.image(id) })
	for range 3 + e.rng.IntN(16) {
		e.field(7, func() {
			e.field(1, func() { e.text("APP_"); e.hex(8) })
			e.field(2, func() { e.prose(e.size(4, 120)) })
		})
	}
	e.field(8, func() {
		e.amount(1, "cpu", "500m")
		e.amount(1, "memory", "512Mi")
		e.amount(2, "cpu", "100m")
		e.amount(2, "memory", "256Mi")
	})
	e.field(9, func() { e.string(1, "kube-api-access"); e.string(3, "/var/run/secrets/kubernetes.io/serviceaccount") })
	e.field(10, func() {
		e.field(1, func() {
			e.field(2, func() {
				e.string(1, "/healthz")
				e.field(2, func() { e.number(1, 0); e.number(2, 8080) }) // IntOrString: an integer
				e.string(4, "HTTP")
			})
		})
		e.number(4, 10)
	})
	e.string(13, "/dev/termination-log")
	e.string(14, "IfNotPresent")
}

func (e *encoder) containerStatus(id identity, i int, gen uint64) {
	e.field(1, func() { e.containerName(id, i) })
	e.field(2, func() { e.field(2, func() { e.time(1, id.created+30*gen) }) }) // running
	e.number(4, 1)
	e.number(5, gen)
	e.field(6, func() { e.text("registry.example.net/", id.namespace, "/", id.app) })
	e.field(7, func() { e.image(id) })
	e.field(8, func() { e.text("containerd://"); e.hex(64) })
}

// containerName appends the name of a pod's container, by its index.
func (e *encoder) containerName(id identity, i int) {
	e.text(id.app)
	if i > 0 {
		e.text("-sidecar-")
		e.decimal(uint64(i))
	}
}

func (e *encoder) image(id identity) {
	e.text("registry.example.net/", id.namespace, "/", id.app, "@sha256:")
	e.hex(64)
}

func (e *encoder) podIP() {
	e.text("10.42.")
	e.decimal(e.rng.Uint64N(256))
	e.text(".")
	e.decimal(e.rng.Uint64N(256))
}
