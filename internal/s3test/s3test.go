// Package s3test runs S3 servers for tests, the demo and the benchmark: a real MinIO with users, policies, TLS and object lock, a
// second implementation in this process, and two proxies that inject faults, one for TCP and one for HTTP.
//
// Its invariant: everything listens on 127.0.0.1 only, and is gone after Close, or when the program that started it dies.
//
// [Run], [RunFake], [RunProxy], [RunHTTPFaults], [Dial] and [Bucket] are for tests and take a [testing.TB]; the rest returns errors.
package s3test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"etcd-rolling-backup/internal/proctest"
)

// startAttempts bounds how often Start picks a new port because another process took the one before.
const startAttempts = 5

// Options describe a MinIO server. The zero value is one without TLS.
type Options struct {
	TLS         bool         // with a certificate of a CA made for this server
	Certificate *Certificate // use this one instead; implies TLS
	KMS         bool         // a key for server-side encryption, [KMSKey]; without it SSE-S3 and SSE-KMS are refused
	Dir         string       // missing or empty directory for all files, kept by Close; empty means a temporary one that Close removes
	Env         []string     // further variables of MinIO as NAME=value, last and so with precedence
}

// Server is a running MinIO with one drive. Pause, Resume, Kill, Stop, Restart and PID act on its process; port, data and users stay
// the same. The embedded Target connects as root.
type Server struct {
	Target
	proctest.Server
	Dir string // with the data, the certificates and the log

	removes bool // whether Close removes Dir
}

// Start runs a server and returns once it answers requests. The context bounds only the start; the server runs until Close.
// An error contains the end of the server's log; then no process and no temporary directory remain.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("prepare minio: %w", err)
	}
	for range startAttempts {
		if err = s.choosePort(); err != nil {
			break
		}
		if err = s.Run(ctx); !errors.Is(err, proctest.ErrPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start minio: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

// prepare finds the program, makes the directories, the certificate and the root's keys; it starts nothing.
func prepare(o Options) (*Server, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Target: Target{
			AccessKey: "root-" + rand.Text()[:8],
			SecretKey: rand.Text(),
			Has:       Features{Checksums: true, Credentials: true, ObjectLock: true},
		},
		removes: o.Dir == "",
	}
	if s.Dir, err = proctest.MakeDir(o.Dir, "s3test-"); err != nil {
		return nil, err
	}
	s.Name = "minio"
	s.Program = program
	s.LogPath = filepath.Join(s.Dir, "minio.log")
	s.Env = environ(s.Target, o)
	s.Probe = s.ready
	if err := s.makeCertificate(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// makeCertificate makes MinIO's certificate directory. Without TLS it stays empty: MinIO would otherwise use the one in the home
// directory.
func (s *Server) makeCertificate(o Options) error {
	if err := os.Mkdir(s.certsDir(), 0o700); err != nil {
		return err
	}
	if o.Certificate != nil {
		return s.install(*o.Certificate)
	}
	if !o.TLS {
		return nil
	}
	ca, err := NewCA(filepath.Join(s.Dir, "ca"))
	if err != nil {
		return err
	}
	certificate, err := ca.Issue()
	if err != nil {
		return err
	}
	return s.install(certificate)
}

// choosePort sets the command line to a port that was free a moment ago.
func (s *Server) choosePort() error {
	addresses, err := proctest.ReservePorts(1)
	if err != nil {
		return err
	}
	s.endpoint = addresses[0]
	s.Args = []string{"server", "--quiet", "--address=" + s.endpoint, "--certs-dir=" + s.certsDir(), filepath.Join(s.Dir, "data")}
	return nil
}

// Close kills the process, even if it is paused, waits for it and removes the temporary directory. It may be called again.
// For a graceful shutdown call Stop first.
func (s *Server) Close() error {
	err := s.Kill()
	if s.removes {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}
