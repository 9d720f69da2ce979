// Command etcd-rolling-backup takes, proves, keeps and mirrors snapshots of etcd.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // CRON_TZ works in a container without zone files

	"etcd-rolling-backup/internal/command"
)

// version is set by the linker.
var version = "dev"

func main() {
	var hangups chan os.Signal           // the terminal is gone: end cleanly, leave no partial; for the daemon: read the settings again
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		hangups = make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
	}
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if command.StopsOnQuit(os.Args) {
		signals = append(signals, syscall.SIGQUIT)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(command.Main(ctx, command.Process{Version: version, Hangups: hangups, Stdout: os.Stdout, Stderr: os.Stderr}, os.Args))
}
