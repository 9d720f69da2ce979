package service

import (
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/snapshot/peer"
)

// LogPeerEvent logs one request to a serve, or one connection that it refused.
func LogPeerEvent(log logrus.FieldLogger, ev peer.Event) {
	log = log.WithFields(logrus.Fields{"from": ev.Remote, "client": ev.Client})
	switch {
	case ev.Err != nil && ev.Path == "":
		log.WithError(ev.Err).Warn("refused a connection")
	case ev.Err != nil:
		log.WithError(ev.Err).WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes}).Warn("response aborted")
	case ev.Status >= 400:
		log.WithFields(logrus.Fields{"method": ev.Method, "path": ev.Path, "status": ev.Status}).Warn("refused a request")
	default:
		log.WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes, "duration_seconds": ev.Took.Round(time.Millisecond).Seconds()}).Info("answered")
	}
}
