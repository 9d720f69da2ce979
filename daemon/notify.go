package daemon

import (
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Notifier notifies systemd of the service's state. Without systemd it does nothing.
//
// Only Alive notifies the watchdog. It is called from the waiting loop and for each chunk of a stream, so systemd restarts a daemon
// that hangs.
type Notifier struct {
	watchdog time.Duration // systemd's watchdog interval; 0: no watchdog
	last     time.Time
}

// NewNotifier reads systemd's settings from the environment.
func NewNotifier() (*Notifier, error) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return nil, err
	}
	return &Notifier{watchdog: interval}, nil
}

// Watchdog is systemd's watchdog interval; 0: no watchdog.
func (n *Notifier) Watchdog() time.Duration { return n.watchdog }

// Ready reports that the service has started.
func (n *Notifier) Ready() error { return send(sd.SdNotifyReady) }

// Reloading reports that the settings are read again; Ready ends that.
func (n *Notifier) Reloading() error {
	return send(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec())
}

// Stopping reports that the service is shutting down.
func (n *Notifier) Stopping() error { return send(sd.SdNotifyStopping) }

// Status sets the line that systemctl status shows.
func (n *Notifier) Status(line string) error {
	// A line break would begin another assignment.
	return send("STATUS=" + strings.ReplaceAll(line, "\n", "; "))
}

// Alive notifies the watchdog, at most four times per interval.
func (n *Notifier) Alive() error {
	if n.watchdog == 0 || time.Since(n.last) < n.watchdog/4 {
		return nil
	}
	n.last = time.Now()
	return send(sd.SdNotifyWatchdog)
}

func send(state string) error {
	_, err := sd.SdNotify(false, state)
	return err
}
