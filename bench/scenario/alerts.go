package scenario

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/bench/gate"
	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/common/alerts"
)

const (
	// settling bounds the wait for alerts of what is covered to be in their topic.
	settling = 15 * time.Second
	// alertMoments is what the independent moments of alert times are called.
	alertMoments = "arrivals of alerts"
)

// followAlerts takes down what is written to topic alerts, until the context ends.
func (e *engine) followAlerts(ctx context.Context) {
	g, each := errgroup.WithContext(ctx)
	for p := range e.t.Partitions {
		g.Go(func() error { return e.followAlertsOf(each, p) })
	}
	err := g.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() == nil {
		e.alertsEnded = fmt.Errorf("read topic alerts: %w", err)
	}
}

func (e *engine) followAlertsOf(ctx context.Context, p int) error {
	return alerts.Follow(ctx, e.t.kafkalog, e.t.topics.Alerts, p, 0, func(some iter.Seq[alerts.Written]) bool {
		received := e.t.clock.NowUS()
		e.mu.Lock()
		defer e.mu.Unlock()
		for w := range some {
			e.alerts = append(e.alerts, raised(w, received))
			e.alertsRead[p] = w.Offset + 1
		}
		return true
	})
}

func raised(w alerts.Written, receivedUS int64) judge.Raised {
	if w.Unreadable != nil {
		return judge.Raised{ReceivedUS: receivedUS, Unreadable: w.Unreadable.Error()}
	}
	return judge.Raised{Alert: w.Alert, ReceivedUS: receivedUS}
}

// alertsSettle waits, when all is covered, until the architecture has written what
// waits and all that is in the topic was read, and asks which rules reigned from where
// on. What takes too long is missing.
func (e *engine) alertsSettle(ctx context.Context) error {
	for deadline := time.Now().Add(settling); ; {
		m, err := e.mark(ctx, time.Now())
		if err != nil {
			return err
		}
		e.t.seen.reigns = m.status.Reigns
		all := false
		if m.status.Alerts.Waiting == 0 {
			if all, err = e.alertsAtEnd(ctx); err != nil {
				return err
			}
		}
		if all || time.Now().After(deadline) {
			return nil
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

// alertsAtEnd reports whether all that is in the topic now was read.
func (e *engine) alertsAtEnd(ctx context.Context) (bool, error) {
	for p := range e.t.Partitions {
		_, end, err := e.t.kafkalog.Bounds(ctx, e.t.topics.Alerts, p)
		if err != nil {
			return false, fmt.Errorf("bounds of topic alerts: %w", err)
		}
		e.mu.Lock()
		read, ended := e.alertsRead[p], e.alertsEnded
		e.mu.Unlock()
		if ended != nil {
			return false, ended
		}
		if read < end {
			return false, nil
		}
	}
	return true, nil
}

// judgeAlerts holds the alerts against those that the rules owe, and measures how
// long they took.
func (t *trial) judgeAlerts(j judge.Judge, book *ledger.Ledger, facts *gate.Facts) error {
	reigns := t.seen.reigns
	switch {
	case !t.seen.whole:
		return nil
	case len(reigns) == 0:
		t.note("its status does not say which rules were served from where on: its alerts were not judged")
		return nil
	}
	for _, r := range reigns[1:] {
		if err := ledger.CheckSwitch(t.engineAnnounced(), ledger.Announced{Coverage: r.From, Rules: int(r.Rules)}); err != nil {
			t.m.InvalidBecause = append(t.m.InvalidBecause, err.Error())
		}
	}
	found, owed, err := j.Alerts(reigns, t.engine.alerts)
	if err != nil { // vectors that the log never had
		t.m.InvalidBecause = append(t.m.InvalidBecause, err.Error())
		return nil
	}
	t.m.Alerts = found
	w := t.seen.window
	if w == nil {
		return nil
	}
	all := make([]ledger.Alerted, len(owed))
	for n, o := range owed {
		all[n] = ledger.Alerted(o)
	}
	times, err := book.AlertTimes(all, *w, t.seen.endUS)
	if err != nil {
		t.m.InvalidBecause = append(t.m.InvalidBecause, err.Error())
		return nil
	}
	facts.AlertsNever = times.Never
	t.m.AlertUS = times.Percentiles(times.Moments, alertMoments)
	return t.writeHistogram("alerts.hlog", times.Histogram, w.FromUS, w.ToUS)
}

// writeAlerts fills alerts.csv.
func (t *trial) writeAlerts(b *bufio.Writer) {
	if t.engine == nil {
		return
	}
	for i := range t.engine.alerts {
		if a := &t.engine.alerts[i]; a.Unreadable == "" {
			fmt.Fprintf(b, "%d,%d,%d,%d,%d,%d,%d,%d\n", a.Rules, a.WindowStart, a.CustomerID, a.GrossMilli, a.OrdersPartition, a.OrdersOffset, a.DetectedUS, a.ReceivedUS)
		}
	}
}
