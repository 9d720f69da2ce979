package export

import (
	"maps"
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot/kube"
)

// Strip returns an object's fields as a person would have written them: without what a cluster adds, and what a new one would refuse. The
// object itself stays as it is.
func Strip(object kube.Object, options Options) map[string]any {
	fields := kube.Clone(object.Fields)
	delete(fields, "status")
	stripMetadata(fields)
	spec, _ := fields["spec"].(map[string]any)
	if isBuiltIn(object) {
		switch object.Kind {
		case "Namespace":
			delete(spec, "finalizers") // the server sets it; one that was being deleted has none
		case "Pod":
			stripPod(spec)
		case "Service":
			stripService(spec, object, options)
		case "Job":
			stripJob(fields, spec)
		case "PersistentVolumeClaim":
			stripClaim(fields, spec)
		case "PersistentVolume":
			stripVolume(spec)
		case "ServiceAccount":
			stripServiceAccount(fields)
		case "Secret":
			stripToken(fields)
		}
	}
	if spec != nil && len(spec) == 0 {
		delete(fields, "spec")
	}
	return fields
}

func stripMetadata(fields map[string]any) {
	metadata, _ := fields["metadata"].(map[string]any)
	for _, name := range []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
		"managedFields", "ownerReferences",
	} {
		delete(metadata, name)
	}
	if finalizers, ok := metadata["finalizers"].([]any); ok { // a deletion was under way: the object would wait for it again
		finalizers = slices.DeleteFunc(finalizers, func(name any) bool { return name == "foregroundDeletion" || name == "orphan" })
		if metadata["finalizers"] = finalizers; len(finalizers) == 0 {
			delete(metadata, "finalizers")
		}
	}
	removeEntries(metadata, "annotations", func(name string) bool { return name == "kubectl.kubernetes.io/last-applied-configuration" })
}

// removeEntries removes entries such as labels or annotations, and the map with the last of them.
func removeEntries(metadata map[string]any, kind string, remove func(string) bool) {
	entries, ok := metadata[kind].(map[string]any)
	if !ok {
		return
	}
	maps.DeleteFunc(entries, func(name string, _ any) bool { return remove(name) })
	if len(entries) == 0 {
		delete(metadata, kind)
	}
}

// stripPod removes where the pod ran, and the volume with its token, which the server adds again. Before Kubernetes 1.21 that was a Secret
// of the service account, which the volume was named after.
func stripPod(spec map[string]any) {
	delete(spec, "nodeName")
	delete(spec, "priority") // of its priority class
	tokens := map[string]bool{}
	account, _ := spec["serviceAccountName"].(string)
	removeFrom(spec, "volumes", func(volume map[string]any) bool {
		name, _ := volume["name"].(string)
		tokens[name] = strings.HasPrefix(name, "kube-api-access-") && volume["projected"] != nil ||
			kube.Field(volume, "secret", "secretName") == name && isGeneratedToken(name, account)
		return tokens[name]
	})
	for _, kind := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[kind].([]any)
		for _, container := range containers {
			if container, ok := container.(map[string]any); ok {
				removeFrom(container, "volumeMounts", func(mount map[string]any) bool {
					name, _ := mount["name"].(string)
					return tokens[name]
				})
			}
		}
	}
	delete(spec, "ephemeralContainers") // are never part of a new pod
}

// removeFrom removes elements of a list, and the list with the last of them.
func removeFrom(fields map[string]any, name string, remove func(map[string]any) bool) {
	values, ok := fields[name].([]any)
	if !ok {
		return
	}
	values = slices.DeleteFunc(values, func(value any) bool {
		element, ok := value.(map[string]any)
		return ok && remove(element)
	})
	if fields[name] = values; len(values) == 0 {
		delete(fields, name)
	}
}

// stripService removes addresses and ports that the cluster assigned. Ports that were applied explicitly stay: others rely on them.
func stripService(spec map[string]any, object kube.Object, options Options) {
	if options.KeepAddresses {
		return
	}
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	applied := appliedPorts(object)
	if !applied["healthCheckNodePort"] {
		delete(spec, "healthCheckNodePort")
	}
	ports, _ := spec["ports"].([]any)
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok && !applied[portKey(port)] {
			delete(port, "nodePort")
		}
	}
}

// appliedPorts finds the node ports that somebody set: in what kubectl applied last.
func appliedPorts(object kube.Object) map[string]bool {
	applied := map[string]bool{}
	manifest, err := kube.ParseJSON([]byte(text(object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")))
	fields, ok := manifest.(map[string]any)
	if err != nil || !ok {
		return applied
	}
	applied["healthCheckNodePort"] = kube.Field(fields, "spec", "healthCheckNodePort") != nil
	ports, _ := kube.Field(fields, "spec", "ports").([]any)
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok && port["nodePort"] != nil {
			applied[portKey(port)] = true
		}
	}
	return applied
}

// portKey is what identifies a port of a service: its number and protocol.
func portKey(port map[string]any) string {
	protocol, _ := port["protocol"].(string)
	if protocol == "" {
		protocol = "TCP"
	}
	number, _ := kube.MarshalJSON(map[string]any{"port": port["port"]}, false)
	return protocol + string(number)
}

// stripJob removes the labels and the selector with the UID of the old job; the server refuses them in a new one.
func stripJob(fields, spec map[string]any) {
	isUID := func(name string) bool {
		return name == "controller-uid" || name == "batch.kubernetes.io/controller-uid" || name == "job-name" || name == "batch.kubernetes.io/job-name"
	}
	if spec["manualSelector"] == true {
		return
	}
	delete(spec, "selector")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		removeEntries(metadata, "labels", isUID)
	}
	if metadata, ok := kube.Field(spec, "template", "metadata").(map[string]any); ok {
		removeEntries(metadata, "labels", isUID)
	}
}

// stripClaim makes a claim that is bound again: to the volume it named itself, or to one that is provisioned.
func stripClaim(fields, spec map[string]any) {
	const bound = "pv.kubernetes.io/bind-completed"
	metadata, _ := fields["metadata"].(map[string]any)
	if kube.Field(metadata, "annotations", boundByController) != nil {
		delete(spec, "volumeName")
	}
	removeEntries(metadata, "annotations", func(name string) bool {
		return name == bound || name == boundByController || name == "volume.kubernetes.io/selected-node" ||
			name == "volume.kubernetes.io/storage-provisioner" || name == "volume.beta.kubernetes.io/storage-provisioner"
	})
}

// stripVolume lets a volume wait for the claim of the same name: the old one's UID would keep it from that.
func stripVolume(spec map[string]any) {
	claim, _ := spec["claimRef"].(map[string]any)
	delete(claim, "uid")
	delete(claim, "resourceVersion")
}

// stripToken empties a Secret for which the cluster issues a token of the service account that it names.
func stripToken(fields map[string]any) {
	if fields["type"] != tokenType {
		return
	}
	metadata, _ := fields["metadata"].(map[string]any)
	removeEntries(metadata, "annotations", func(name string) bool { return name == "kubernetes.io/service-account.uid" })
	removeEntries(metadata, "labels", func(name string) bool { return strings.HasPrefix(name, "kubernetes.io/legacy-token-") })
	removeEntries(fields, "data", func(name string) bool { return name == "token" || name == "ca.crt" || name == "namespace" })
}

// stripServiceAccount removes the secrets with its tokens, which older clusters made for it.
func stripServiceAccount(fields map[string]any) {
	metadata, _ := fields["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	removeFrom(fields, "secrets", func(secret map[string]any) bool {
		ref, _ := secret["name"].(string)
		return strings.HasPrefix(ref, name+"-token-") || strings.HasPrefix(ref, name+"-dockercfg-")
	})
}
