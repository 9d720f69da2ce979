// Package s3test runs S3 servers for tests, the demo and the benchmark: a real MinIO with users, policies, TLS and object lock, a
// second server of another make in this process, and two proxies that spoil the way to either, one on TCP and one on HTTP.
//
// Its invariant: everything listens on loopback addresses only, reached at 127.0.0.1, and is gone after Close, or when the program
// that started it dies.
//
// The core returns errors and knows nothing of tests; [Run], [RunFake], [RunProxy], [RunHTTPFaults], [Dial] and [Bucket] are the
// wrappers for a [testing.TB].
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

// startAttempts bounds how often Start picks a new port after another process took the first choice.
const startAttempts = 5

// Options describe a MinIO server. The zero value is one without TLS.
type Options struct {
	TLS         bool         // with a certificate of an authority made for this server
	Certificate *Certificate // this one instead, which implies TLS
	KMS         bool         // a key for server-side encryption, [KMSKey]; without it SSE-S3 and SSE-KMS are refused
	Dir         string       // missing or empty directory for all files, kept by Close; empty means a temporary one that Close removes
	Env         []string     // further variables of MinIO as NAME=value, last and so with precedence
}

// Server is a running MinIO with one drive. Pause, Resume, Kill, Stop, Restart and PID act on its process; the port, the data and
// the users outlast them. The embedded Target reaches it as root.
type Server struct {
	Target
	proctest.Server
	Dir string // holds the data, the certificates and the log

	removes bool // whether Close removes Dir
}

// Start runs a server and returns when it answers requests. The context bounds the start only; the server runs until Close.
// An error holds the end of the server's log, and leaves no process and no temporary directory.
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

// makeCertificate makes MinIO's directory of certificates, which stays empty without TLS: MinIO would otherwise look for one in
// the home directory.
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

// Close kills the process, also a paused one, waits for it and removes the temporary directory. It may be called again.
// For an orderly shutdown call Stop first.
func (s *Server) Close() error {
	err := s.Kill()
	if s.removes {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}
