package drill

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logTail is how many bytes of etcd's error log are kept.
const logTail = 2 << 10

// serverLog is the logger of etcd's code. It keeps the last errors, and turns what would end the process, a fatal message or a
// panic, into an error of guard.
type serverLog struct {
	logger *zap.Logger
	fatal  chan error

	mu   sync.Mutex
	tail string
}

func newServerLog() *serverLog {
	l := &serverLog{fatal: make(chan error, 1)}
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "msg", LineEnding: "\n"})
	core := zapcore.NewCore(encoder, zapcore.AddSync(l), zap.ErrorLevel)
	l.logger = zap.New(core, zap.WithFatalHook(l), zap.WithPanicHook(l))
	return l
}

// Write receives a line of the log.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail += string(p)
	l.tail = l.tail[max(0, len(l.tail)-logTail):]
	return len(p), nil
}

// withLog adds etcd's log to an error.
func (l *serverLog) withLog(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tail == "" {
		return err
	}
	return fmt.Errorf("%w (etcd's log: %s)", err, strings.Join(strings.Fields(l.tail), " "))
}

// OnWrite is called when etcd cannot continue. It ends only that goroutine.
func (l *serverLog) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := fmt.Errorf("etcd gave up: %s", e.Message)
	for _, f := range fields {
		if cause, ok := f.Interface.(error); ok {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	select {
	case l.fatal <- err:
	default: // the first one is the cause
	}
	runtime.Goexit()
}

// guard runs a piece of etcd's code, which cannot be interrupted and may exit instead of returning an error. When ctx ends, that
// code keeps running in the background. fault is wrapped around the error if the code gives up.
func (l *serverLog) guard(ctx context.Context, fault error, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				err, _ := r.(error)
				if err == nil {
					err = fmt.Errorf("%v", r)
				}
				done <- blame(fault, fmt.Errorf("etcd panicked: %w", err))
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case err := <-l.fatal:
		return blame(fault, err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
