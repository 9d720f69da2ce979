package daemon

import (
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells systemd how the service is. Without systemd it does nothing.
//
// The watchdog hears of the daemon only from Alive, which is called where work goes on: from the waiting loop and for
// each piece of a stream. A daemon that hangs is silent, and systemd starts it anew.
type Notifier struct {
	watchdog time.Duration // how soon systemd loses patience; 0: it keeps no watch
	last     time.Time
}

// NewNotifier reads from the environment what systemd wants to hear.
func NewNotifier() (*Notifier, error) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return nil, err
	}
	return &Notifier{watchdog: interval}, nil
}

// Watchdog is systemd's patience; 0 when it keeps no watch.
func (n *Notifier) Watchdog() time.Duration { return n.watchdog }

// Ready says that the service is up.
func (n *Notifier) Ready() error { return send(sd.SdNotifyReady) }

// Stopping says that the service goes down.
func (n *Notifier) Stopping() error { return send(sd.SdNotifyStopping) }

// Status is the line that systemctl status shows.
func (n *Notifier) Status(line string) error {
	// A line break would begin another assignment.
	return send("STATUS=" + strings.ReplaceAll(line, "\n", "; "))
}

// Alive feeds the watchdog, at most four times in its interval.
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
