package stream

import (
	"math"
	"strings"

	"archbench/common/event"
	"archbench/common/view"
)

// Crossing is the moment when a customer's sum of an alert window reaches the threshold.
type Crossing struct {
	WindowStart int64 // ms since the epoch
	CustomerID  int64
	GrossMilli  int64 // the sum by then, thousandths of a pound
}

// crosses reports whether a sum reaches the threshold with what was just added to it.
func crosses(sum, added, threshold int64) bool { return sum >= threshold && sum-added < threshold }

// Spending sums sales by customer and alert window under every version of the
// rules, apart from any state, for those whose state holds only a part of the lines.
// Lines are added in the order of the log. It is not safe for concurrent use.
type Spending struct {
	size, threshold int64
	codes           [view.Versions]codes
	sums            map[spender][view.Versions]int64
}

type spender struct{ window, customer int64 }

// NewSpending returns one without sums.
func NewSpending(p view.Params) *Spending {
	s := &Spending{size: p.Alert.Milliseconds(), threshold: p.AlertThresholdMilli, sums: map[spender][view.Versions]int64{}}
	for n, r := range view.AllRules() {
		s.codes[n] = newCodes(r)
	}
	return s
}

// Add adds a line that counts. crossed says that it is the crossing line under
// these rules.
func (s *Spending) Add(l *event.OrderLine, r view.Rules) (c Crossing, crossed bool) {
	if l.Kind != event.Sale || l.CustomerID == 0 {
		return c, false
	}
	k, gross := spender{view.WindowStart(l.EventTimeMS, s.size), l.CustomerID}, l.AmountMilli()
	sums := s.sums[k]
	for n, version := range view.AllRules() {
		if _, counts := s.codes[n].of(l.StockCode); !counts {
			continue
		}
		sums[n] += gross
		if version == r && crosses(sums[n], gross, s.threshold) {
			c, crossed = Crossing{k.window, k.customer, sums[n]}, true
		}
	}
	s.sums[k] = sums
	return c, crossed
}

// Forget lets go of the windows that no line with an event time at the horizon or
// later belongs to.
func (s *Spending) Forget(horizon int64) {
	if horizon == math.MinInt64 { // no window is closed, however many there are
		return
	}
	for k := range s.sums {
		if k.window+s.size <= horizon {
			delete(s.sums, k)
		}
	}
}

// Len is the number of sums.
func (s *Spending) Len() int { return len(s.sums) }

// codes remembers what the rules say of stock codes.
type codes struct {
	logic view.Logic
	known map[string]code
	// asSpelled: the rules neither fold nor exclude, so no code needs to be looked up.
	asSpelled bool
}

type code struct {
	folded string
	counts bool
}

func newCodes(r view.Rules) codes {
	l := r.Logic()
	return codes{l, map[string]code{}, !l.FoldCode && len(l.ExcludedCodes)+len(l.ExcludedPrefixes) == 0}
}

// of is the code under which a line counts, and whether it counts at all. It keeps no
// memory of the line's.
func (cs *codes) of(spelled string) (string, bool) {
	if cs.asSpelled {
		return spelled, true
	}
	c, known := cs.known[spelled]
	if !known {
		if len(cs.known) >= 1<<16 { // a source of ever new codes must not fill the memory
			clear(cs.known)
		}
		spelled = strings.Clone(spelled)
		c.folded, c.counts = cs.logic.Code(spelled)
		cs.known[spelled] = c
	}
	return c.folded, c.counts
}
