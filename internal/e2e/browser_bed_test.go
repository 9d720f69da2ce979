package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// newBrowser is a headless Chromium that ends with the test.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(context.Background(), // the test's own ends before its cleanups
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("no-proxy-server", true),
	)
	t.Cleanup(stop)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start chromium (tools/packages.sh installs it): %v", err)
	}
	t.Cleanup(func() { must(t, chromedp.Cancel(ctx)) })
	return ctx
}

// shown is what stands in the page's first section, which says how things are, for who looks at it.
func shown(browser context.Context, t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, endLimit)
	defer cancel()
	var text string
	must(t, chromedp.Run(ctx, chromedp.Navigate(url), chromedp.Text("section.state", &text, chromedp.ByQuery, chromedp.NodeVisible)))
	return text
}
