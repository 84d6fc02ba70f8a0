package ledger

import (
	"fmt"

	"archbench/bench/stats"
)

// Alerted is when the alert of a crossing line came.
type Alerted struct {
	Partition  int   // of orders
	Offset     int64 // of the crossing line
	ReceivedUS int64 // µs since the epoch; 0: never
}

// AlertTimes is how long alerts took from the moment that their crossing lines were
// meant to be sent.
type AlertTimes struct {
	stats.Histogram
	// Moments is how many different times of arrival there were.
	Moments int64
	// Never is how many of them did not come.
	Never int64
}

// AlertTimes works out the time of each alert whose crossing line lies in the
// window. One that never came counts with its age at end.
func (l *Ledger) AlertTimes(all []Alerted, w Window, endUS int64) (AlertTimes, error) {
	times := AlertTimes{Histogram: stats.New()}
	moments := map[int64]bool{}
	for _, a := range all {
		intended := l.Orders[a.Partition][a.Offset].IntendedUS
		if !w.Holds(intended) {
			continue
		}
		came := a.ReceivedUS
		if came == 0 {
			times.Never++
			came = endUS
		}
		moments[came] = true
		if err := times.Record(came - intended); err != nil {
			return times, fmt.Errorf("the alert of orders partition %d offset %d: %w", a.Partition, a.Offset, err)
		}
	}
	times.Moments = int64(len(moments))
	return times, nil
}

// CheckSwitch refuses a vector, named as the one from which on rules are served, that
// announcements contradict: under the rules before nothing beyond it was announced,
// and under these or later ones nothing less. What was announced before a crash may
// have been forgotten.
func CheckSwitch(announced []Announced, from Announced) error {
	switched := false
	for _, a := range announced {
		switched = switched || a.Rules == from.Rules
		if !switched && !from.Coverage.AtLeast(a.Coverage) {
			return fmt.Errorf("rules %d are said to be served from %s on, and rules %d were announced at %s", from.Rules, from.Coverage, a.Rules, a.Coverage)
		}
		if switched && !a.Coverage.AtLeast(from.Coverage) {
			return fmt.Errorf("rules %d are said to be served from %s on, and were announced at %s", from.Rules, from.Coverage, a.Coverage)
		}
	}
	return nil
}
