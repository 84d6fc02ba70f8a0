package stream

import (
	"math"
	"slices"
	"sort"
	"time"

	"archbench/common/event"
	"archbench/common/view"
)

// fragment is a run of one customer's lines without a gap.
type fragment struct {
	start, end int64 // first and last line, ms
	lines, net int64
	changed    bool
}

// sessions holds each customer's fragments, in time order, at least a gap apart.
type sessions struct {
	gap        int64
	byCustomer map[int64][]fragment
	len        int
	track      bool
	changed    []sessionKey
	gone       []sessionKey
}

type sessionKey struct{ customer, start int64 }

// add joins f with the fragments that it touches and puts the result in their place.
func (s *sessions) add(customer int64, f fragment) {
	fs := s.byCustomer[customer]
	lo := sort.Search(len(fs), func(i int) bool { return fs[i].end+s.gap >= f.start })
	hi := lo
	for hi < len(fs) && fs[hi].start-s.gap <= f.end {
		hi++
	}
	if lo+1 == hi && fs[lo].start <= f.start { // the usual case: one fragment grows
		old := &fs[lo]
		old.end = max(old.end, f.end)
		old.lines += f.lines
		old.net += f.net
		s.note(customer, old)
		return
	}
	joined := f
	joined.changed = false
	for i := lo; i < hi; i++ {
		joined.start, joined.end = min(joined.start, fs[i].start), max(joined.end, fs[i].end)
		joined.lines += fs[i].lines
		joined.net += fs[i].net
	}
	for i := lo; i < hi; i++ {
		if fs[i].start != joined.start && s.track {
			s.gone = append(s.gone, sessionKey{customer, fs[i].start})
		}
	}
	s.len += 1 - (hi - lo)
	s.byCustomer[customer] = slices.Replace(fs, lo, hi, joined)
	s.note(customer, &s.byCustomer[customer][lo])
}

// forget lets go of the fragments that no line at the horizon or later can touch.
func (s *sessions) forget(horizon int64) {
	for customer, fs := range s.byCustomer {
		n := sort.Search(len(fs), func(i int) bool { return fs[i].end+s.gap >= horizon })
		switch {
		case n == 0:
			continue
		case n == len(fs):
			delete(s.byCustomer, customer)
		default:
			s.byCustomer[customer] = slices.Delete(fs, 0, n)
		}
		s.len -= n
	}
}

func (s *sessions) note(customer int64, f *fragment) {
	if s.track && !f.changed {
		f.changed = true
		s.changed = append(s.changed, sessionKey{customer, f.start})
	}
}

// takeChanges reports deletions first: a start that went away and came back is a put.
func (s *sessions) takeChanges(put, del func(view.Partial, view.Row)) {
	for _, k := range s.gone {
		if s.find(k) == nil {
			del(view.SessionFragments, view.Row{Num: [view.MaxNums]int64{k.customer, k.start}})
		}
	}
	for _, k := range s.changed {
		if f := s.find(k); f != nil && f.changed {
			f.changed = false
			put(view.SessionFragments, f.row(k.customer))
		}
	}
	s.gone, s.changed = s.gone[:0], s.changed[:0]
}

func (s *sessions) find(k sessionKey) *fragment {
	fs := s.byCustomer[k.customer]
	i := sort.Search(len(fs), func(i int) bool { return fs[i].start >= k.start })
	if i < len(fs) && fs[i].start == k.start {
		return &fs[i]
	}
	return nil
}

func (f *fragment) row(customer int64) view.Row {
	return view.Row{Num: [view.MaxNums]int64{customer, f.start, f.end, f.lines, f.net}}
}

// change is one profile change of a customer.
type change struct {
	validFrom, offset int64
	segment           string // empty: deleted
}

// Profiles holds each customer's changes by valid_from; of two that begin
// together only the later offset matters.
type Profiles struct {
	byCustomer map[int64][]change
	len        int
	from       int64 // changes that no window from this start on needs have been let go of
	track      bool
	changed    map[sessionKey]struct{}
	gone       []sessionKey
}

// NewProfiles returns an empty table of profiles.
func NewProfiles() *Profiles { return &Profiles{byCustomer: map[int64][]change{}, from: math.MinInt64} }

// Add adds a usable profile change, found at this offset of its partition.
func (p *Profiles) Add(c *event.ProfileChange, offset int64) {
	p.add(c.CustomerID, change{validFrom: c.ValidFromMS, offset: offset, segment: c.Segment})
}

// Len is the number of changes.
func (p *Profiles) Len() int { return p.len }

// Forget lets go of the changes that no line with an event time at the horizon or
// later can need, where windows have this size: all before the last one that is
// valid at the start of the horizon's window.
func (p *Profiles) Forget(horizon int64, window time.Duration) {
	if horizon == math.MinInt64 { // no line yet
		return
	}
	start := view.WindowStart(horizon, window.Milliseconds())
	if start <= p.from {
		return
	}
	p.from = start
	for customer, cs := range p.byCustomer {
		n := sort.Search(len(cs), func(i int) bool { return cs[i].validFrom > start }) - 1
		if n < 1 {
			continue
		}
		for _, c := range cs[:n] {
			if p.track {
				p.gone = append(p.gone, sessionKey{customer, c.validFrom})
			}
		}
		p.byCustomer[customer] = slices.Delete(cs, 0, n)
		p.len -= n
	}
}

func (p *Profiles) add(customer int64, c change) {
	cs := p.byCustomer[customer]
	i := sort.Search(len(cs), func(i int) bool { return cs[i].validFrom >= c.validFrom })
	switch {
	case i == len(cs) || cs[i].validFrom != c.validFrom:
		p.byCustomer[customer] = slices.Insert(cs, i, c)
		p.len++
	case cs[i].offset < c.offset:
		cs[i] = c
	default:
		return
	}
	if p.track {
		if p.changed == nil {
			p.changed = map[sessionKey]struct{}{}
		}
		p.changed[sessionKey{customer, c.validFrom}] = struct{}{}
	}
}

// takeChanges reports deletions first: a change that was let go of and came again is a put.
func (p *Profiles) takeChanges(put, del func(view.Partial, view.Row)) {
	for _, k := range p.gone {
		del(view.Profiles, view.Row{Num: [view.MaxNums]int64{k.customer, k.start}})
	}
	p.gone = p.gone[:0]
	for k := range p.changed {
		for _, c := range p.byCustomer[k.customer] {
			if c.validFrom == k.start {
				put(view.Profiles, c.row(k.customer))
			}
		}
	}
	clear(p.changed)
}

func (c *change) row(customer int64) view.Row {
	return view.Row{Text: c.segment, Num: [view.MaxNums]int64{customer, c.validFrom, c.offset}}
}
