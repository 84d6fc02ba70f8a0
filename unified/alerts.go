package unified

import (
	"context"
	"time"

	"archbench/common/alerts"
	"archbench/common/batch"
	"archbench/common/view"
)

// crossings are the alerts of lines that a generation of gold gets next: those that
// bring a sum of what it serves to the threshold. Its deltas are made by then.
func (u *Unified) crossings(ctx context.Context, generation int, rules view.Rules, lines string) ([]alerts.Alert, error) {
	k := batch.Kernel{Params: u.c.Params, Rules: rules}
	found, err := k.Crossings(ctx, u.db, "("+k.Counted(lines)+")", delta(generation, view.SpendWindows), served(generation, view.SpendWindows))
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixMicro()
	var all []alerts.Alert
	for _, c := range found {
		all = append(all, alerts.Alert{Rules: rules, WindowStart: c.WindowStart, CustomerID: c.CustomerID, GrossMilli: c.GrossMilli,
			OrdersPartition: c.Partition, OrdersOffset: c.Offset, DetectedUS: now})
	}
	return all, nil
}

// keepAlerts takes those that were acknowledged since out of the record, so that a
// clean stop repeats none. A batch does it by the way.
func (u *Unified) keepAlerts() error {
	waiting, _ := u.alerts.Waiting()
	u.serving.Lock()
	defer u.serving.Unlock()
	if len(waiting) == len(u.state.Alerts) {
		return nil
	}
	next := u.state
	next.Alerts = waiting
	if err := u.savePublished(next); err != nil {
		return err
	}
	u.state = next
	return nil
}
