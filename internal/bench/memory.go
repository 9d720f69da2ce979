package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// watchMemory samples a process's anonymous memory until the returned function is called, which returns the peak in bytes. The kernel's
// own peak includes the pages of mapped files, which it can reclaim at any time.
func watchMemory(pid int) func() int64 {
	end, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			select {
			case <-end:
				peak <- most
				return
			case <-tick.C:
				most = max(most, anonymous(pid))
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-peak
	}
}

// anonymous returns 0 for a process that has just exited.
func anonymous(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // 0, as for a process that has exited
			return kib << 10
		}
	}
	return 0
}
