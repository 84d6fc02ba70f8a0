package disturb

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"time"

	"archbench/workloads"
)

const (
	// maxHeld bounds the events that are held back for lateness, and so the
	// memory. Beyond it, the one that is due first goes early.
	maxHeld = 1 << 16
	// resentWithin bounds the events between a line and its second copy.
	resentWithin = 1000
	// One second copy of conflictOf has other content.
	conflictOf = 20
	// skewAheadMS is how far a wrong clock runs ahead: beyond any allowed lateness.
	skewAheadMS = int64(24 * time.Hour / time.Millisecond)
)

// noClock stands before the first event time.
const noClock = math.MinInt64

// Source is an inner source, disturbed.
type Source struct {
	inner workloads.Source
	p     Params
	spoil spoiler
	half  int64 // schema 2 from this event of the inner source on
	// What is added to a source that has an end.
	duplicates, poisons int64

	in        placed // the event that was read last
	waits     bool   // it goes behind the unusable record that just came out
	read      int64  // events of the inner source so far
	readLines int64  // order lines among them
	ended     bool

	clockMS int64    // greatest event time that came out, skewed ones aside
	byTime  queue    // held back until the clock says so: the late ones
	byCount queue    // held back until so many events were read: the displaced ones and second copies
	early   []placed // late profile changes from before there was a clock

	sent int64 // events that came out
}

// Over lays disturbances over a source, which then belongs to the result. Where
// nothing is to be disturbed it returns the source itself.
func Over(inner workloads.Source, p Params) (workloads.Source, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if !p.any() {
		return inner, nil
	}
	s := &Source{inner: inner, p: p, spoil: newSpoiler(), half: p.HalfWay, clockMS: noClock}
	if n := inner.Events(); n >= 0 {
		s.half = n / 2
		s.poisons = count(n, s.isPoisoned)
		s.duplicates = count(inner.Lines(), s.isResent)
	}
	return s, nil
}

// count is how many of the first n things are so. Draws are addressable, so
// what will be added is known before anything is read.
func count(n int64, is func(int64) bool) (c int64) {
	for i := range n {
		if is(i) {
			c++
		}
	}
	return c
}

// Next implements workloads.Source.
func (s *Source) Next(e *workloads.Event) error {
	for {
		p, ok, err := s.step()
		if err != nil {
			return err
		}
		if ok {
			s.send(&p)
			*e = p.Event
			return nil
		}
	}
}

// step finds what comes out next; ok is false where an event was held back instead.
func (s *Source) step() (p placed, ok bool, err error) {
	switch {
	case s.waits:
		s.waits = false
		p, ok = s.place(s.in)
		return p, ok, nil
	case s.byTime.has(s.clockMS), s.byTime.len() > maxHeld:
		return s.byTime.take(), true, nil
	case s.byCount.has(s.read):
		return s.byCount.take(), true, nil
	case !s.ended:
		return s.next()
	case s.byCount.len() > 0:
		return s.byCount.take(), true, nil
	case s.byTime.len() > 0:
		return s.byTime.take(), true, nil
	}
	return p, false, io.EOF
}

// next reads an event of the inner source and returns what goes now: the event,
// an unusable record before it, or nothing.
func (s *Source) next() (p placed, ok bool, err error) {
	s.in = placed{line: -1}
	if err := s.inner.Next(&s.in.Event); errors.Is(err, io.EOF) {
		s.ended = true
		s.wakeEarly()
		return p, false, nil
	} else if err != nil {
		return p, false, err
	}
	n := s.read
	s.read++
	if s.in.Topic == workloads.Orders {
		s.in.line = s.readLines
		s.readLines++
	}
	if s.p.Schema2 && n >= s.half {
		s.speakSchema2(&s.in)
	}
	if s.isPoisoned(n) {
		s.waits = true
		return placed{Event: s.spoil.like(&s.in.Event, s.ofEvent(n)), line: -1}, true, nil
	}
	p, ok = s.place(s.in)
	return p, ok, nil
}

// send finishes an event that comes out: its number, whether it is late by now,
// and the second copy that it will have.
func (s *Source) send(p *placed) {
	p.Index = s.sent
	s.sent++
	if p.held {
		p.Late = timeOf(p) < s.clockMS
	}
	if p.line < 0 {
		return
	}
	if !p.skewed {
		s.clockMS = max(s.clockMS, p.Line.EventTimeMS)
		s.wakeEarly()
	}
	if s.isResent(p.line) {
		s.byCount.hold(s.copyOf(p), s.read+1+s.ofLine(p.line).Below(drawResentAfter, resentWithin))
	}
}

// timeOf is when a line happened or a change began to be valid, ms since the epoch.
func timeOf(p *placed) int64 {
	if p.Topic == workloads.Customers {
		return p.Change.ValidFromMS
	}
	return p.Line.EventTimeMS
}

// Lines implements workloads.Source: those of the inner source and their second copies.
func (s *Source) Lines() int64 {
	if n := s.inner.Lines(); n >= 0 {
		return n + s.duplicates
	}
	return -1
}

// Events implements workloads.Source: those of the inner source, second copies
// and unusable records.
func (s *Source) Events() int64 {
	if n := s.inner.Events(); n >= 0 {
		return n + s.duplicates + s.poisons
	}
	return -1
}

// Describe implements workloads.Source: the inner source's description, with
// the disturbances among its parameters.
func (s *Source) Describe() workloads.Description {
	d := s.inner.Describe()
	d.Parameters = maps.Clone(d.Parameters)
	if d.Parameters == nil {
		d.Parameters = map[string]string{}
	}
	s.p.describe(d.Parameters)
	if s.p.Schema2 {
		d.Parameters["disturb.schema2"] = fmt.Sprintf("from event %d", s.half)
	}
	return d
}

// Close implements workloads.Source.
func (s *Source) Close() error { return s.inner.Close() }
