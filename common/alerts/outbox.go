package alerts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"archbench/common/eventlog"
	"archbench/common/fault"
)

// Crash points that every architecture passes around the records of alerts: those
// that are written have been detected, and are not acknowledged yet.
const (
	BeforeAlerts = "before-alerts"
	AfterAlerts  = "after-alerts"
)

// Bugs that every architecture knows.
const (
	BugForget = "forget-alerts" // those that waited before a restart are not added again
	BugShadow = "shadow-alerts" // an instance that is not served, or a rebuild, writes alerts too
)

const (
	// most is how many alerts may wait before the lines that raise them wait too. It
	// is reached when the topic cannot be written for long.
	most = 20_000
	// perWrite bounds the records of one write.
	perWrite = 2_000
	// A write that failed is tried again, after pauses that grow from the first to the longest.
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
	// lastWrite bounds the attempt to write what waits when a stop is asked for.
	lastWrite = time.Second
)

// Outbox writes alerts in the background, in batches, as often as it takes.
type Outbox struct {
	log    eventlog.Log
	topic  string
	faults *fault.Set
	logger *slog.Logger
	due    chan struct{} // some wait

	mu      sync.Mutex
	waiting []Alert       // added and not acknowledged, oldest first
	change  uint64        // counts changes of waiting
	room    chan struct{} // closed and replaced when some were acknowledged
	counts  Counts
}

// Counts are those since the process started.
type Counts struct {
	Raised   int64 `json:"raised"` // those of before a restart included
	Written  int64 `json:"written"`
	Waiting  int64 `json:"waiting"`
	Failures int64 `json:"failures"` // writes that failed, and were tried again
}

// NewOutbox returns an empty outbox to a topic. Run makes it write.
func NewOutbox(log eventlog.Log, topic string, faults *fault.Set, logger *slog.Logger) *Outbox {
	return &Outbox{log: log, topic: topic, faults: faults, logger: logger, due: make(chan struct{}, 1), room: make(chan struct{})}
}

// Add adds alerts. It waits for nothing.
func (o *Outbox) Add(alerts ...Alert) {
	if len(alerts) == 0 {
		return
	}
	o.mu.Lock()
	o.waiting = append(o.waiting, alerts...)
	o.change++
	o.counts.Raised += int64(len(alerts))
	o.mu.Unlock()
	o.wake()
}

// Raise adds one alert that was detected now.
func (o *Outbox) Raise(a Alert) {
	a.DetectedUS = time.Now().UnixMicro()
	o.Add(a)
}

// Restore adds what was waiting before a restart.
func (o *Outbox) Restore(alerts []Alert) {
	if !o.faults.Bug(BugForget) {
		o.Add(alerts...)
	}
}

// Waiting returns those that are not acknowledged, and a number that changes when
// they do.
func (o *Outbox) Waiting() (alerts []Alert, change uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting), o.change
}

// Change is the number that Waiting returns.
func (o *Outbox) Change() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.change
}

// Counts counts what was done.
func (o *Outbox) Counts() Counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.counts
	c.Waiting = int64(len(o.waiting))
	return c
}

// Room returns when few enough wait for more to be raised.
func (o *Outbox) Room(ctx context.Context) error {
	for {
		o.mu.Lock()
		full, room := len(o.waiting) >= most, o.room
		o.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run writes what is added until the context ends, and then once more for a short
// time. It fails only by a planted crash: a topic that cannot be written stops
// nothing.
func (o *Outbox) Run(ctx context.Context) error {
	for {
		select {
		case <-o.due:
			if err := o.writeAll(ctx, true); err != nil {
				return err
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := o.writeAll(last, false); errors.Is(err, fault.ErrCrash) {
				return err
			}
			return ctx.Err()
		}
	}
}

// writeAll writes until nothing waits. again says whether to try again what failed.
func (o *Outbox) writeAll(ctx context.Context, again bool) error {
	pause := firstPause
	for {
		batch := o.next()
		if len(batch) == 0 {
			return nil
		}
		err := o.write(ctx, batch)
		switch {
		case err == nil:
			pause = firstPause
			continue
		case errors.Is(err, fault.ErrCrash):
			return err
		case ctx.Err() != nil:
			return nil // Run tries once more
		}
		o.failed(err, len(batch))
		if !again {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, longestPause)
	}
}

func (o *Outbox) wake() {
	select {
	case o.due <- struct{}{}:
	default: // it stands already
	}
}

// next are the oldest that wait.
func (o *Outbox) next() []Alert {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting[:min(len(o.waiting), perWrite)])
}

// write writes the oldest that wait and takes them off.
func (o *Outbox) write(ctx context.Context, batch []Alert) error {
	if err := o.faults.Point(BeforeAlerts); err != nil {
		return err
	}
	records := make([]eventlog.Record, len(batch))
	for i := range batch {
		var err error
		if records[i], err = batch[i].record(); err != nil {
			return err
		}
	}
	if err := o.log.Append(ctx, o.topic, records...); err != nil {
		return err
	}
	if err := o.faults.Point(AfterAlerts); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.Clone(o.waiting[len(batch):])
	o.change++
	o.counts.Written += int64(len(batch))
	close(o.room)
	o.room = make(chan struct{})
	return nil
}

// failed counts a failure; the first is worth a word.
func (o *Outbox) failed(err error, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts.Failures++; o.counts.Failures == 1 {
		o.logger.Warn("alerts cannot be written; they wait and are tried again", "topic", o.topic, "alerts", n, "err", err)
	}
}
