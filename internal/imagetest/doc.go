// Package imagetest builds the image of the Dockerfile and runs it: with a real etcd, as the users that docs/CONTAINER.md names, on the
// bad days of a container, and with the other services of packaging/compose.yaml. `make test-image` runs it.
//
// Its invariant is that of podmantest: nothing is pulled.
package imagetest
