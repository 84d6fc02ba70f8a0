package judge

import (
	"fmt"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/oracle"
	"archbench/results"
)

// Raised is a record of topic alerts as it was received.
type Raised struct {
	alerts.Alert
	ReceivedUS int64  // µs since the epoch
	Unreadable string // why it is no alert; empty if it is one
}

// Owed is an alert that some rules owe, and when its first record was received.
type Owed struct {
	Partition  int   // of orders
	Offset     int64 // of the crossing line
	ReceivedUS int64 // µs since the epoch; 0: never
}

// Alerts judges what stood in topic alerts when all was covered, against what the
// rules owe for the lines that came while they reigned.
func (j Judge) Alerts(reigns []architecture.Reign, got []Raised) (*results.Alerts, []Owed, error) {
	due, err := j.due(reigns)
	if err != nil {
		return nil, nil, err
	}
	a := &results.Alerts{Expected: int64(len(due))}
	first := map[alerts.Identity]int{} // places in owed
	var owed []Owed
	count := func(n *int64, format string, args ...any) {
		*n++
		if len(a.Examples) < maxExamples {
			a.Examples = append(a.Examples, fmt.Sprintf(format, args...))
		}
	}
	extra := map[alerts.Identity]bool{}
	for i := range got {
		g := &got[i]
		id := g.Identity()
		want, isDue := due[id]
		place, again := first[id]
		switch {
		case g.Unreadable != "":
			count(&a.Extra, "a record is no alert: %s", g.Unreadable)
		case again:
			a.Repeated++
			owed[place].ReceivedUS = min(owed[place].ReceivedUS, g.ReceivedUS)
		case extra[id]:
			a.Repeated++
		case !isDue:
			extra[id] = true
			count(&a.Extra, "nothing owes %s", describeAlert(&g.Alert))
		default:
			first[id] = len(owed)
			owed = append(owed, Owed{want.OrdersPartition, want.OrdersOffset, g.ReceivedUS})
			if g.GrossMilli != want.GrossMilli || g.OrdersPartition != want.OrdersPartition || g.OrdersOffset != want.OrdersOffset {
				count(&a.Wrong, "%s, but it is %s", describeAlert(&g.Alert), describeAlert(&want))
			}
		}
	}
	for id, want := range due {
		if _, came := first[id]; !came {
			owed = append(owed, Owed{want.OrdersPartition, want.OrdersOffset, 0})
			count(&a.Missing, "%s never came", describeAlert(&want))
		}
	}
	return a, owed, nil
}

func describeAlert(a *alerts.Alert) string {
	return fmt.Sprintf("the alert under rules %d of customer %d in window %d, with %d at orders %d/%d", a.Rules, a.CustomerID, a.WindowStart, a.GrossMilli, a.OrdersPartition, a.OrdersOffset)
}

// due are the alerts that reigns owe, the last up to the log's end.
func (j Judge) due(reigns []architecture.Reign) (map[alerts.Identity]alerts.Alert, error) {
	crossings := j.History.Alerts
	switch {
	case j.Bounded:
		crossings = j.History.BoundedAlerts
	case j.EveryLine:
		crossings = j.History.AlertsWithoutIDs
	}
	due := map[alerts.Identity]alerts.Alert{}
	for n, reign := range reigns {
		to := j.History.End()
		if n+1 < len(reigns) {
			to = reigns[n+1].From
		}
		found, err := crossings(reign.From, to, reign.Rules, j.Params)
		if err != nil {
			return nil, fmt.Errorf("alerts under rules %d from %s to %s: %w", reign.Rules, reign.From, to, err)
		}
		for _, f := range found {
			a := alertOf(reign, f)
			due[a.Identity()] = a
		}
	}
	return due, nil
}

func alertOf(reign architecture.Reign, f oracle.Alert) alerts.Alert {
	return alerts.Alert{Rules: reign.Rules, WindowStart: f.WindowStart, CustomerID: f.CustomerID, GrossMilli: f.GrossMilli, OrdersPartition: f.Partition, OrdersOffset: f.Offset}
}
