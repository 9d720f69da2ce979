// Package kubernetestest proves on a real kube-apiserver what `restore --kubernetes` promises: after it, no client goes on with
// what it remembers. And it proves that the server takes the manifests of packaging/kubernetes. It has tests only, behind the build tag
// kubernetes, for the server takes minutes to build:
//
//	make test-kubernetes
package kubernetestest
