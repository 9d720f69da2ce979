# Two commands do everything on a machine with Go and make:
#   make demo    the main job, shown step by step
#   make test    every test; builds the real etcd servers first (minutes, once)

SHELL := /bin/bash
BIN   := .cache/bin
ETCDS := $(BIN)/etcd-3.4/etcd $(BIN)/etcd-3.5/etcd $(BIN)/etcd-3.6/etcd $(BIN)/etcd-3.7/etcd

.PHONY: tools
tools: $(ETCDS)

# Each version is a module of its own, for one version of etcd excludes the others from a build.
$(BIN)/etcd-3.4/etcd: tools/etcd-3.4/fetch.sh
	tools/etcd-3.4/fetch.sh $(@D)

$(BIN)/etcd-%/etcd: tools/etcd-%/go.mod
	@mkdir -p $(@D)
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcdctl go.etcd.io/etcd/etcdctl/v3
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcdutl go.etcd.io/etcd/etcdutl/v3
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcd go.etcd.io/etcd/server/v3

$(BIN)/golangci-lint: tools/lint/go.mod
	cd tools/lint && go build -trimpath -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
