package disturb

import (
	"math"
	"time"

	"archbench/common/event"
	"archbench/workloads/draws"
)

// The draws of an order line, and those of an event of either topic.
const (
	drawFate = iota // late, out of order, skewed or nothing
	drawLateness
	drawDisplacement
	drawResent
	drawResentAfter
	drawConflict
	drawChannel
	drawPoison
	drawKind
)

// salt keeps the draws apart from those of a generator with the same seed.
const salt = 0x64697374757262

// ofLine are the draws of an order line, by its number among the inner source's.
func (s *Source) ofLine(n int64) draws.Draws { return draws.For(s.p.Seed^salt, uint64(n)<<1) }

// ofEvent are the draws of an event of either topic, by its number in the inner source.
func (s *Source) ofEvent(n int64) draws.Draws { return draws.For(s.p.Seed^salt, uint64(n)<<1|1) }

func (s *Source) isResent(line int64) bool { return s.ofLine(line).Unit(drawResent) < s.p.Duplicates }
func (s *Source) isPoisoned(n int64) bool  { return s.ofEvent(n).Unit(drawPoison) < s.p.Poison }

// place lets an event go at its place, or holds it back. One draw decides what
// becomes of a line, so that the shares add up.
func (s *Source) place(p placed) (placed, bool) {
	if p.line < 0 {
		return s.placeChange(p)
	}
	d, at := s.ofLine(p.line), p.Line.EventTimeMS
	switch fate := d.Unit(drawFate); {
	case fate < s.p.Late:
		p.held = true
		s.byTime.hold(p, at+s.latenessMS(d))
		return p, false
	case fate < s.p.Late+s.p.OutOfOrder:
		s.byCount.hold(p, s.read+1+d.Below(drawDisplacement, s.p.Displacement))
		return p, false
	case fate < s.p.Late+s.p.OutOfOrder+s.p.Skew:
		p.skewed = true
		p.Line.EventTimeMS = min(at+skewAheadMS, event.MaxTimeMS-1) // still usable
	}
	return p, true
}

// placeChange holds a late profile change back until it has been valid for a
// while. Before the first line there is no telling for how long.
func (s *Source) placeChange(p placed) (placed, bool) {
	d := s.ofEvent(s.read - 1)
	if d.Unit(drawFate) >= s.p.LateProfiles {
		return p, true
	}
	p.held, p.due = true, s.latenessMS(d)
	s.early = append(s.early, p)
	if s.clockMS != noClock {
		s.wakeEarly()
	}
	return p, false
}

// wakeEarly begins to count the lateness of profile changes, from when they are
// valid or from now, whichever is later.
func (s *Source) wakeEarly() {
	for _, p := range s.early {
		s.byTime.hold(p, max(p.Change.ValidFromMS, s.clockMS)+p.due)
	}
	s.early = s.early[:0]
}

// latenessMS is exponentially distributed: mostly little, now and then much.
func (s *Source) latenessMS(d draws.Draws) int64 {
	mean := float64(s.p.Lateness) / float64(time.Millisecond)
	return 1 + int64(-math.Log(1-d.Unit(drawLateness))*mean)
}

// copyOf is the line a second time, now and then with other content. Another
// kind is other content that stays usable whatever the line holds.
func (s *Source) copyOf(p *placed) placed {
	c := placed{Event: p.Event, line: -1}
	c.Duplicate, c.Late = true, false
	switch {
	case !s.ofLine(p.line).Chance(drawConflict, 1, conflictOf):
	case c.Line.Kind == event.Adjustment:
		c.Line.Kind = event.Cancellation
	default:
		c.Line.Kind = event.Adjustment
	}
	return c
}

// speakSchema2 makes an event one of schema version 2, which tells the channel of a line.
func (s *Source) speakSchema2(p *placed) {
	if p.line < 0 {
		p.Change.Version = 2
		return
	}
	p.Line.Version = 2
	p.Line.Channel = [...]string{"web", "store", "phone"}[s.ofLine(p.line).Below(drawChannel, 3)]
}
