package architecture

import (
	"context"
	"sync"
	"time"

	"archbench/common/coverage"
	"archbench/common/eventlog"
)

// logEndEvery is the time between looks at the log's end.
const logEndEvery = time.Second

// LogEnd is the end of both input topics as last seen, for lag and readiness. Its
// zero value is that of a Run that has not begun.
type LogEnd struct {
	mu      sync.Mutex
	atStart coverage.Coverage // no partitions: Run has not begun
	last    coverage.Coverage
	reached bool // all of atStart was covered once
}

// Start notes the end that a Run finds when it begins.
func (e *LogEnd) Start(end coverage.Coverage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.atStart, e.last = end, end
}

// Watch looks at the log's end every second until ctx ends, and returns its error. A
// broker that does not answer leaves the end as it was.
func (e *LogEnd) Watch(ctx context.Context, log eventlog.Log, t eventlog.Topics) error {
	tick := time.NewTicker(logEndEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if found, err := eventlog.Inputs(ctx, log, t); err == nil {
			e.mu.Lock()
			e.last = found.End
			e.mu.Unlock()
		}
	}
}

// Records is how many there are up to the end as last seen, of both topics.
func (e *LogEnd) Records() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last.Sum()
}

// Passed reports whether a position includes all that was in the log when Run began,
// which is all that may have been served before a crash.
func (e *LogEnd) Passed(at coverage.Coverage) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.passed(at)
}

func (e *LogEnd) passed(at coverage.Coverage) bool {
	return e.atStart.Orders != nil && at.AtLeast(e.atStart)
}

// Report puts lag and readiness into a status that says its coverage.
func (e *LogEnd) Report(s *Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Lag = max(0, e.last.Sum()-s.Coverage.Sum())
	e.reached = e.reached || e.passed(s.Coverage)
	s.Ready = e.reached
}
