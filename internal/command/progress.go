package command

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows a bar if w is a terminal, and nothing otherwise.
type progress struct {
	w    io.Writer
	what string
	bar  *progressbar.ProgressBar
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{w: w, what: what}
}

// update takes the bytes done and the total (0: not known).
func (p *progress) update(done, total int64) {
	if p.w == nil {
		return
	}
	if p.bar == nil {
		if total == 0 {
			total = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100e6), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(done) // only the look is lost
}

func (p *progress) done() {
	if p != nil && p.bar != nil {
		_ = p.bar.Clear() // only the look is lost
	}
}
