package rketools

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot/pace"
	"etcd-rolling-backup/snapshot/peer"
)

// The flags and variables of rke-tools, whose names and defaults RKE relies on. A default is in Value: rke-tools itself has retries whose
// default gets lost.

const (
	defaultEndpoint      = "127.0.0.1:2379"
	defaultCreation      = 5 * time.Minute
	defaultRetention     = 24 * time.Hour
	defaultBackupRetries = 4
	defaultS3Retries     = 3
)

func textFlag(name, usage string, variables ...string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Usage: usage, EnvVars: variables}
}

func nameFlag() cli.Flag { return textFlag("name", "`NAME` of the snapshot") }

func debugFlag(variables ...string) cli.Flag {
	return &cli.BoolFlag{Name: "debug", Usage: "log more", EnvVars: variables}
}

// trioFlags are the certificates.
func trioFlags() []cli.Flag {
	return []cli.Flag{
		textFlag("cacert", "CA `FILE` of etcd", "ETCD_CACERT"),
		textFlag("cert", "client certificate `FILE`", "ETCD_CERT"),
		textFlag("key", "client key `FILE`", "ETCD_KEY"),
	}
}

func s3Flags(switchVariables ...string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "s3-backup", Usage: "use S3", EnvVars: switchVariables},
		textFlag("s3-endpoint", "`HOST[:PORT]` of the S3 server, which must speak HTTPS", "S3_ENDPOINT"),
		textFlag("s3-accessKey", "access `KEY`, plain or in base64; without keys the IAM role is used", "S3_ACCESS_KEY"),
		textFlag("s3-secretKey", "secret `KEY`, plain or in base64", "S3_SECRET_KEY"),
		textFlag("s3-bucketName", "`BUCKET` of the snapshots", "S3_BUCKET_NAME"),
		textFlag("s3-region", "`REGION` of the bucket", "S3_BUCKET_REGION"),
		textFlag("s3-endpoint-ca", "`CA` of the S3 server in addition to the system's: base64 or a file", "S3_ENDPOINT_CA"),
		textFlag("s3-folder", "`FOLDER` in the bucket", "S3_FOLDER"),
	}
}

// commonFlags are those of download, and of save and extractstatefile too.
func commonFlags() []cli.Flag {
	endpoints := textFlag("endpoints", "`HOST:PORT` of the etcd member on this host; of several, the first that answers")
	endpoints.Value = defaultEndpoint
	return slices.Concat([]cli.Flag{endpoints, debugFlag("RANCHER_DEBUG"), nameFlag()}, trioFlags(), []cli.Flag{
		textFlag("local-endpoint", "`HOST` that serves the snapshot", "LOCAL_ENDPOINT"),
	}, s3Flags("S3_BACKUP"))
}

// snapshotFlags are those of extractstatefile, which RKE calls with a part of the flags of save.
func snapshotFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.DurationFlag{Name: "creation", Usage: "take a snapshot every `DURATION`", Value: defaultCreation},
		&cli.DurationFlag{Name: "retention", Usage: "keep snapshots for `DURATION`", Value: defaultRetention},
		&cli.BoolFlag{Name: "once", Usage: "take one snapshot with the name of --name"},
	}, commonFlags()...)
}

func saveFlags() []cli.Flag {
	return append(snapshotFlags(),
		&cli.UintFlag{Name: "backup-retries", Usage: "how often a snapshot that failed is tried again: `N`", Value: defaultBackupRetries},
		&cli.UintFlag{Name: "s3-retries", Usage: "how often an upload that failed is tried again: `N`", Value: defaultS3Retries},
	)
}

func deleteFlags() []cli.Flag {
	return append([]cli.Flag{nameFlag(), &cli.BoolFlag{Name: "cleanup", Usage: "delete only the uncompressed database next to the archive"}}, s3Flags()...)
}

func serveFlags() []cli.Flag { return append([]cli.Flag{nameFlag()}, trioFlags()...) }

// saveOptions are those of save.
type saveOptions struct {
	call
	endpoints           []string
	cacert, cert, key   string // files; all are needed
	creation, retention time.Duration
	once                bool
	backupRetries       uint // tries after the first
	s3Retries           uint // likewise
}

// deleteOptions are those of delete.
type deleteOptions struct {
	call
	cleanup bool
}

// downloadOptions are those of download.
type downloadOptions struct {
	call
	localEndpoint string // of the host that serves
	identity      peer.Identity
}

// s3Options are the flags of the bucket.
type s3Options struct {
	endpoint, bucket, region, ca, folder string
	accessKey, secretKey                 string // plain or in base64
}

func (p process) save(c *cli.Context) error {
	if c.Bool("once") {
		defer p.removeStateFile(c.String("name"))
	}
	base, err := p.call(c, saveSettings(c.Bool("once")))
	if err != nil {
		return err
	}
	return p.do.save(c.Context, saveOptions{
		call: base, endpoints: strings.Split(c.String("endpoints"), ","), cacert: c.String("cacert"), cert: c.String("cert"), key: c.String("key"),
		creation: c.Duration("creation"), retention: c.Duration("retention"), once: c.Bool("once"),
		backupRetries: c.Uint("backup-retries"), s3Retries: c.Uint("s3-retries"),
	})
}

func (p process) delete(c *cli.Context) error {
	base, err := p.call(c, nil)
	if err != nil {
		return err
	}
	return p.do.remove(c.Context, deleteOptions{call: base, cleanup: c.Bool("cleanup")})
}

func (p process) download(c *cli.Context) error {
	base, err := p.call(c, nil)
	if err != nil {
		return err
	}
	return p.do.download(c.Context, downloadOptions{call: base, localEndpoint: c.String("local-endpoint"), identity: identity(c)})
}

func (p process) extractStateFile(c *cli.Context) error {
	base, err := p.call(c, nil)
	if err != nil {
		return err
	}
	return p.do.extractStateFile(c.Context, base)
}

func (p process) serve(c *cli.Context) error {
	base, err := p.call(c, nil)
	if err != nil {
		return err
	}
	return p.do.serve(c.Context, base, identity(c))
}

func identity(c *cli.Context) peer.Identity {
	return peer.Identity{CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key")}
}

// call reads what every subcommand has, and the variables of the flags of ours that make sense for this one.
func (p process) call(c *cli.Context, more []cli.Flag) (call, error) {
	debug := slices.ContainsFunc(c.Lineage(), func(c *cli.Context) bool { return c.Bool("debug") })
	ours, err := settings(c.Context, append(commonSettings(), more...))
	if err != nil {
		return call{}, err
	}
	if debug {
		ours.Log.Level = slog.LevelDebug
	}
	made := call{process: p, ours: ours, log: service.NewLogger(ours.Log, p.stderr), name: c.String("name")}
	if c.Bool("s3-backup") {
		made.s3 = &s3Options{
			endpoint: c.String("s3-endpoint"), bucket: c.String("s3-bucketName"), region: c.String("s3-region"), ca: c.String("s3-endpoint-ca"),
			folder: c.String("s3-folder"), accessKey: c.String("s3-accessKey"), secretKey: c.String("s3-secretKey"),
		}
	}
	return made, nil
}

// minFreeFlag has no value here, so that the default is a share of the disk: see minFree.
func minFreeFlag() cli.Flag {
	return config.Text("store", "min-free", "0", "`SIZE` that stays free on the disk")
}

// commonSettings are the flags of ours whose variables count for all calls.
func commonSettings() []cli.Flag { return append(config.LogFlags(), minFreeFlag()) }

// saveSettings are the others that count for save. RKE gives some of them itself.
func saveSettings(once bool) []cli.Flag {
	flags := without(config.EtcdFlags(), "endpoints", "cacert", "cert", "key")
	if once {
		return flags
	}
	for _, f := range flags {
		if text, ok := f.(*cli.StringFlag); ok && text.Name == "stream-rate" {
			text.Value = pace.Auto.String() // nobody waits for a rolling snapshot
		}
	}
	for _, f := range append(config.MonitorFlags(), without(config.DrillFlags(), "drill-from")...) {
		if text, ok := f.(*cli.StringFlag); ok && (text.Name == "listen" || text.Name == "drill-schedule") {
			text.Value = "off" // nobody has asked for a port or for the work of a drill
		}
		flags = append(flags, f)
	}
	return flags
}

func without(flags []cli.Flag, names ...string) []cli.Flag {
	return slices.DeleteFunc(flags, func(f cli.Flag) bool { return slices.Contains(names, f.Names()[0]) })
}

// unknownVariables are those of ours in the environment that have no effect in the rolling mode.
func unknownVariables() []string {
	known := &cli.Command{Flags: append(commonSettings(), saveSettings(false)...)}
	return slices.DeleteFunc(config.UnknownVariables([]*cli.Command{known}), func(name string) bool { return name == RootVariable })
}

// settings reads variables only, as if the flags stood on a command line without any.
func settings(ctx context.Context, flags []cli.Flag) (config.Config, error) {
	var cfg config.Config
	for _, f := range flags {
		if t, ok := f.(*cli.StringFlag); ok && !slices.ContainsFunc(t.EnvVars, func(name string) bool { return os.Getenv(name) != "" }) {
			t.EnvVars = nil // extra_env may have it without a value
		}
	}
	command := &cli.Command{Name: Command, Flags: flags, HideHelp: true, OnUsageError: config.OnUsageError, Action: func(c *cli.Context) (err error) {
		cfg, err = config.Read(c)
		return err
	}}
	app := &cli.App{Name: Binary, HideHelp: true, HideVersion: true, Commands: []*cli.Command{command}, ExitErrHandler: func(*cli.Context, error) {}}
	return cfg, app.RunContext(ctx, []string{Binary, Command})
}
