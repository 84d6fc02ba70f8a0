package lambda

import (
	"fmt"
	"sync"
	"time"

	"archbench/common/alerts"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/fault"
	"archbench/common/intake"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/lambda/master"
)

// position is how far a partition was read, and what was counted on the way.
type position struct{ orders, customers int64 }

// span is the speed layer's part between two seals, under each of the rules that
// are kept up.
type span struct {
	from, to position
	records  int64 // that were read into it
	states   map[view.Rules]*stream.State
}

// partition is one partition of both topics: the speed layer's spans, and what
// waits to become a segment.
type partition struct {
	number   int
	params   view.Params
	lateness *time.Duration // of policy bounded; nil: exact
	faults   *fault.Set

	mu       sync.Mutex
	at       position
	spans    []*span // contiguous; the last one grows
	rules    []view.Rules
	seen     *stream.Seen
	spending *stream.Spending // of all lines that count, whatever the batch layer covers
	served   view.Rules       // under which lines raise alerts
	reigning int64            // from this offset of orders on
	known    *stream.Profiles // bounded: what a line joins with when it is read
	lines    []master.Line
	changes  []master.Change
	unusable int64 // waiting for the next segment
	counts   struct{ unusable, duplicate, conflicting, late int64 }
}

// newPartition is an empty partition, under policy bounded if there is a lateness.
func newPartition(n int, p view.Params, r view.Rules, lateness *time.Duration, faults *fault.Set) *partition {
	part := &partition{number: n, params: p, lateness: lateness, faults: faults, rules: []view.Rules{r}, seen: stream.NewSeen(), spending: stream.NewSpending(p)}
	if lateness != nil {
		part.seen, part.known = stream.NewBoundedSeen(*lateness), stream.NewProfiles()
	}
	return part
}

// newSpan begins a span at the present position. The caller holds the lock.
func (p *partition) newSpan() {
	s := &span{from: p.at, to: p.at, states: map[view.Rules]*stream.State{}}
	for _, r := range p.rules {
		if p.lateness != nil {
			s.states[r] = stream.NewBoundedState(p.params, r, p.known)
		} else {
			s.states[r] = stream.NewState(p.params, r)
		}
	}
	p.spans = append(p.spans, s)
}

// reached notes how far the span goes now.
func (s *span) reached(at position, records int) {
	s.to = at
	s.records += int64(records)
}

func (p *partition) growing() *span { return p.spans[len(p.spans)-1] }

// addOrders takes a batch into the speed layer and into the next segment, and raises
// the alerts of its lines.
func (p *partition) addOrders(b intake.Orders, outbox *alerts.Outbox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if r.Unusable != "" {
			p.unusable++
			p.counts.unusable++
			continue
		}
		p.lines = append(p.lines, master.Line{Partition: p.number, Offset: r.Offset, OrderLine: r.Line})
		if c, crossed := p.addLine(&r.Line); crossed && r.Offset >= p.reigning {
			outbox.Raise(alerts.Alert{Rules: p.served, WindowStart: c.WindowStart, CustomerID: c.CustomerID, GrossMilli: c.GrossMilli, OrdersPartition: p.number, OrdersOffset: r.Offset})
		}
	}
	p.at.orders = b.Next
	p.growing().reached(p.at, len(b.Records))
}

// addLine adds a line to the growing span if it counts. crossed says that it brings
// a sum to the alert threshold under the served rules.
func (p *partition) addLine(l *event.OrderLine) (c stream.Crossing, crossed bool) {
	if !p.claim(l) {
		return c, false
	}
	p.growing().add(l)
	return p.spending.Add(l, p.served)
}

// passLine takes in a line that the batch layer covers.
func (p *partition) passLine(l *event.OrderLine) {
	if p.claim(l) {
		p.spending.Add(l, p.served)
	}
}

// reign lets lines from this offset of orders on raise alerts under these rules. The
// caller holds the lock.
func (p *partition) reign(r view.Rules, from int64) { p.served, p.reigning = r, from }

// claim claims a line's id and reports whether the line counts in the speed layer.
func (p *partition) claim(l *event.OrderLine) bool {
	switch p.seen.Claim(l) {
	case stream.First:
		return true
	case stream.Late:
		p.counts.late++
		return p.faults.Bug(bugCountLate)
	case stream.Conflict:
		p.counts.conflicting++
	}
	p.counts.duplicate++
	return p.faults.Bug(bugCountTwice)
}

func (s *span) add(l *event.OrderLine) {
	for _, state := range s.states {
		state.AddLine(l)
	}
}

// addCustomers takes a batch of profile changes.
func (p *partition) addCustomers(b intake.Customers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if r.Unusable != "" {
			p.unusable++
			p.counts.unusable++
			continue
		}
		p.changes = append(p.changes, master.Change{Partition: p.number, Offset: r.Offset, ProfileChange: r.Change})
		p.addChange(&r.Change, r.Offset)
	}
	p.at.customers = b.Next
	p.growing().reached(p.at, len(b.Records))
}

func (p *partition) addChange(c *event.ProfileChange, offset int64) {
	if p.known != nil {
		p.known.Add(c, offset)
		return
	}
	for _, state := range p.growing().states {
		state.AddProfile(c, offset)
	}
}

// share is what one partition brings to a segment.
type share struct {
	to       position
	lines    []master.Line
	changes  []master.Change
	unusable int64
}

func (s *share) records() int64 { return int64(len(s.lines)+len(s.changes)) + s.unusable }

// take hands over what waits for a segment.
func (p *partition) take() share {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeLocked()
}

func (p *partition) takeLocked() share {
	s := share{p.at, p.lines, p.changes, p.unusable}
	p.lines, p.changes, p.unusable = nil, nil, 0
	return s
}

// seal hands over what waits for a segment and begins a new span, under these
// rules, where the segment ends. It says how many records the old span holds.
func (p *partition) seal(rules []view.Rules) (s share, ended int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, ended = rules, p.growing().records
	p.newSpan()
	if p.known != nil {
		p.known.Forget(p.seen.Horizon(), p.params.Segment)
		p.spending.Forget(p.seen.Horizon())
	}
	return p.takeLocked(), ended
}

// forget drops the spans that end at or before a position, and the states of
// rules other than those kept.
func (p *partition) forget(before position, keep []view.Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = keep
	kept := p.spans[:0]
	for i, s := range p.spans {
		last := i == len(p.spans)-1
		if !last && s.to.orders <= before.orders && s.to.customers <= before.customers {
			continue
		}
		for r := range s.states {
			if !has(keep, r) {
				delete(s.states, r)
			}
		}
		kept = append(kept, s)
	}
	clear(p.spans[len(kept):])
	p.spans = kept
}

func has(rules []view.Rules, r view.Rules) bool {
	for _, x := range rules {
		if x == r {
			return true
		}
	}
	return false
}

// cut takes what a query needs of the spans from the seam on, and checks that they
// meet the seam. Sessions and profiles it takes whole: a span is short.
func (p *partition) cut(q view.Query, r view.Rules, seam position) (cuts []*stream.Cut, at position, times stream.Times, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	orders := []coverage.Span{}
	changes := []coverage.Span{}
	var states []*stream.State
	for _, s := range p.spans {
		if s.to.orders <= seam.orders && s.to.customers <= seam.customers && s != p.growing() {
			continue // the batch layer has it
		}
		state := s.states[r]
		if state == nil {
			return nil, at, times, fmt.Errorf("partition %d: no speed layer under rules %d from %v on", p.number, r, s.from)
		}
		states = append(states, state)
		orders = append(orders, coverage.Span{From: s.from.orders, To: s.to.orders})
		changes = append(changes, coverage.Span{From: s.from.customers, To: s.to.customers})
	}
	if err := coverage.Contiguous(seam.orders, orders); err != nil {
		return nil, at, times, fmt.Errorf("the seam of orders partition %d is broken: %w", p.number, err)
	}
	if err := coverage.Contiguous(seam.customers, changes); err != nil {
		return nil, at, times, fmt.Errorf("the seam of customers partition %d is broken: %w", p.number, err)
	}
	for _, s := range states {
		times.Merge(s.Times())
		cuts = append(cuts, s.Cut(q, nil))
	}
	return cuts, p.at, times, nil
}
