package page_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium with a profile of its own, which exits with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(context.Background(), // the test's own ends before its cleanups
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(profile(t)), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("no-proxy-server", true),
	)
	t.Cleanup(stop)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start chromium (tools/packages.sh installs it): %v", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("stop chromium: %v", err)
		}
	})
	return ctx
}

// profile is a directory that is removed when the last process of the browser has written to it, which may be after the first one has ended.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "profile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			if err := os.RemoveAll(dir); err == nil {
				return
			} else if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

// looking watches one tab: what it asked for and what it complained of.
type looking struct {
	mu         sync.Mutex
	requests   []string
	complaints []string
}

func (l *looking) watch(ctx context.Context) {
	chromedp.ListenTarget(ctx, func(event any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			l.requests = append(l.requests, e.Request.URL)
		case *runtime.EventConsoleAPICalled:
			l.complaints = append(l.complaints, fmt.Sprintf("console.%s", e.Type))
		case *runtime.EventExceptionThrown:
			l.complaints = append(l.complaints, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			l.complaints = append(l.complaints, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
		}
	})
}

// seen is what the tab shows.
type seen struct {
	Text   string   `json:"text"`
	Title  string   `json:"title"`
	Wide   int      `json:"wide"` // of all that can be scrolled to
	Room   int      `json:"room"`
	Over   []string `json:"over"`  // elements that reach beyond the screen
	Cut    []string `json:"cut"`   // elements that are wider inside than they are
	Clash  []string `json:"clash"` // words of a plot that run into each other or out of it
	Pale   []string `json:"pale"`  // texts of too little contrast
	Loose  int      `json:"loose"` // elements that the page as written has none of
	Colors string   `json:"colors"`
}

// look opens url at a width in a color scheme, and saves a screenshot in $PAGE_SCREENSHOTS if that is set.
func look(parent context.Context, t *testing.T, url, name string, width int64, scheme string) (seen, *looking) {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	l := &looking{}
	l.watch(ctx)
	var s seen
	var shot []byte
	script, err := os.ReadFile(filepath.Join("testdata", "look.js"))
	if err != nil {
		t.Fatal(err)
	}
	err = chromedp.Run(ctx,
		network.Enable(), log.Enable(),
		emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(url),
		chromedp.Evaluate(string(script), &s),
		chromedp.FullScreenshot(&shot, 100),
	)
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("PAGE_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%s-%d.png", name, scheme, width))
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, l
}

// check holds what is true of each page in each form.
func (s seen) check(t *testing.T, l *looking, url string) {
	t.Helper()
	if s.Wide > s.Room {
		t.Errorf("scrolls sideways: %d wide in %d: %s", s.Wide, s.Room, strings.Join(s.Over, ", "))
	}
	if len(s.Cut) > 0 {
		t.Errorf("cut off or scrolling within: %s", strings.Join(s.Cut, ", "))
	}
	if len(s.Clash) > 0 {
		t.Errorf("words of the plot clash: %s", strings.Join(s.Clash, ", "))
	}
	if len(s.Pale) > 0 {
		t.Errorf("too little contrast: %s", strings.Join(s.Pale, ", "))
	}
	if s.Loose > 0 {
		t.Errorf("%d elements that the page has none of", s.Loose)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) == 0 {
		t.Error("saw no request at all; the watch does not work")
	}
	for _, r := range l.requests {
		if r != url && !strings.HasPrefix(r, "data:") {
			t.Errorf("asked for %s", r)
		}
	}
	if len(l.complaints) > 0 {
		t.Errorf("complained: %s", strings.Join(l.complaints, "\n"))
	}
}
