package scenario

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// progress tells whoever waits what goes on: lines, and on a terminal a live
// line below them.
type progress struct {
	began time.Time
	live  bool // the writer is a terminal

	mu    sync.Mutex
	out   io.Writer
	shown bool // a live line stands there
}

func newProgress(out io.Writer, began time.Time) *progress {
	return &progress{began: began, out: out, live: isTerminal(out)}
}

func isTerminal(out io.Writer) bool {
	f, isFile := out.(*os.File)
	if !isFile {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// clearLine takes the live line away.
const clearLine = "\r\x1b[K"

// say writes a line that stays.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, clearLine)
		p.shown = false
	}
	fmt.Fprintf(p.out, "%5.0fs  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// show replaces the live line, on a terminal.
func (p *progress) show(format string, args ...any) {
	if !p.live {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s%5.0fs  %s", clearLine, time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
	p.shown = true
}

// hide takes the live line away.
func (p *progress) hide() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, clearLine)
		p.shown = false
	}
}
