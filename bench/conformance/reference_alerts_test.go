package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/oracle"
	"archbench/common/view"
)

// alertBugs are those of the reference that show in topic alerts only.
var alertBugs = []string{
	"forget alerts at restart", "a shadow writes alerts", "new rules alert from the beginning", "alerts of late lines", "the last line of a window alerts",
	"alerts have no key", "a failed alert is dropped",
}

// writeAlerts writes, again and again, what the reigns owe for what was taken since
// the last time. What is owed is a function of the state, so there is no outbox.
func (r *reference) writeAlerts(ctx context.Context) error {
	for {
		if err := r.writeOwed(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *reference) writeOwed(ctx context.Context) error {
	r.mu.Lock()
	at, before := r.state.At.Clone(), r.state.Alerted
	owed := r.owed(before, at)
	r.alerted.Waiting = int64(len(owed))
	r.mu.Unlock()
	if at.Equal(before) {
		return nil
	}
	if err := r.c.Log.Append(ctx, r.c.Topics.Alerts, owed...); err != nil && r.bug != "a failed alert is dropped" {
		return nil // it is tried again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Alerted = at
	r.alerted.Raised += int64(len(owed))
	r.alerted.Written += int64(len(owed))
	return r.save()
}

// owed are the records of the crossing lines between two vectors.
func (r *reference) owed(from, to coverage.Coverage) []eventlog.Record {
	reigns := r.state.Reigns
	switch r.bug {
	case "a shadow writes alerts":
		reigns = append(slices.Clone(reigns), architecture.Reign{Rules: 3 - r.state.Rules, From: coverage.Zero(len(to.Orders))})
	case "new rules alert from the beginning":
		if n := len(reigns) - 1; n > 0 {
			reigns = append(slices.Clone(reigns), architecture.Reign{Rules: reigns[n].Rules, From: coverage.Zero(len(to.Orders))})
		}
	}
	var records []eventlog.Record
	for n, reign := range reigns {
		end := to
		if n+1 < len(r.state.Reigns) {
			end = coverage.Min(to, r.state.Reigns[n+1].From)
		}
		for _, a := range r.crossings(coverage.Max(from, reign.From), end, reign.Rules) {
			value := alertOf(reign.Rules, a)
			value.DetectedUS = time.Now().UnixMicro()
			records = append(records, eventlog.Record{Key: r.alertKey(a), Value: encoded(value)})
		}
	}
	return records
}

func encoded(a alerts.Alert) []byte {
	content, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("encode an alert: %v", err))
	}
	return content
}

func (r *reference) alertKey(a oracle.Alert) []byte {
	if r.bug == "alerts have no key" {
		return nil
	}
	return strconv.AppendInt(nil, a.CustomerID, 10)
}

// crossings asks the oracle for the crossing lines, of the lines that count.
func (r *reference) crossings(from, to coverage.Coverage, rules view.Rules) []oracle.Alert {
	if !to.AtLeast(from) || from.AtLeast(to) {
		return nil // no lines lie between
	}
	h, orders := oracle.NewHistory(len(r.state.Orders)), r.state.Orders
	if r.c.Policy == architecture.Bounded && r.bug != "alerts of late lines" {
		orders, _ = r.kept(rules)
	}
	for p, values := range orders {
		for o, v := range values {
			h.AddOrder(p, int64(o), v)
		}
	}
	for p, values := range r.state.Customers {
		for o, v := range values {
			h.AddCustomer(p, int64(o), v)
		}
	}
	found, err := h.Alerts(from, to, rules, r.c.Params)
	if err != nil {
		return nil // a planted bug made the coverage reach beyond what is there
	}
	if r.bug == "the last line of a window alerts" {
		for n := range found {
			found[n].Offset = r.lastSale(orders[found[n].Partition], found[n])
		}
	}
	return found
}

func (r *reference) lastSale(values [][]byte, a oracle.Alert) int64 {
	last, d := a.Offset, event.NewDecoder()
	for o, v := range values {
		var l event.OrderLine
		if d.Order(v, &l) == nil && l.CustomerID == a.CustomerID && view.WindowStart(l.EventTimeMS, r.c.Params.Alert.Milliseconds()) == a.WindowStart {
			last = int64(o)
		}
	}
	return last
}
