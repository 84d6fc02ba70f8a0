package unified

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// How much nicer background work is than the rest of the process, and the nicest there is.
// Beside one thread of a micro-batch it then gets a tenth of a core, and all that is left.
const (
	nicer   = 10
	nicest  = 19
	rawNice = 20 // Linux's getpriority gives this much less the nice value
)

// inBackground runs f on a thread of lower priority and sends to done what it returns.
// The thread that asks DuckDB for something also does the work, with the help of
// DuckDB's own threads if it may have more than one.
func inBackground(done chan<- error, f func() error) {
	go func() {
		// Never unlocked: a priority cannot be raised again, so the thread ends with f.
		runtime.LockOSThread()
		// Where the system refuses, f is only less considerate.
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, min(rawNice-raw+nicer, nicest))
		}
		done <- f()
	}()
}
