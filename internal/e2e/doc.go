// Package e2e tests the built program as its users meet it: a process with flags, exit statuses and output, beside real
// etcd servers. It has tests only.
package e2e
