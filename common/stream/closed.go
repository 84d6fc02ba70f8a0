package stream

import (
	"math"
	"time"

	"archbench/common/view"
)

// Forget lets go of all rows that no line with an event time at the horizon or
// later can change. The caller has them by then: TakeChanges has reported their
// last values. It is for states under policy bounded, where earlier lines are
// dropped as late.
func (s *State) Forget(horizon int64) {
	if horizon <= s.horizon {
		return
	}
	s.horizon = horizon
	s.countries.forget(horizon, s.sizes.tumbling)
	s.panes.forget(horizon, s.sizes.hopSlide)
	s.products.forget(horizon, s.sizes.top)
	s.spend.forget(horizon, s.sizes.alert)
	s.segments.forget(horizon, s.sizes.segment)
	s.sketches.forget(horizon, s.sizes.distinct)
	s.sessions.forget(horizon)
	s.profiles.Forget(horizon, time.Duration(s.sizes.segment)*time.Millisecond)
}

// Closed tells apart the rows that a state has let go of and those that it has.
type Closed struct {
	sizes   sizes
	gap     int64
	horizon int64
}

// Closed says what the state has let go of.
func (s *State) Closed() Closed { return Closed{s.sizes, s.sessions.gap, s.horizon} }

// ClosedAt says what a state with these parameters has let go of after Forget.
func ClosedAt(p view.Params, horizon int64) Closed {
	return Closed{sizesOf(p), p.SessionGap.Milliseconds(), horizon}
}

// Span is where the window column (session_start for sessions) of closed rows
// lies that a query needs: [from, to). Not every row there is closed.
func (c Closed) Span(q view.Query) (from, to int64) {
	r := c.sizes.spanOf(q)
	return r.from, min(r.to, c.horizon)
}

// LeastOpen is the least value of the window column that a row which is not closed
// may have.
func (c Closed) LeastOpen(kind view.Partial) int64 {
	if kind == view.Profiles || kind == view.SessionFragments {
		return math.MinInt64
	}
	size := c.sizes.of(kind)
	if c.horizon < math.MinInt64+size {
		return math.MinInt64
	}
	return c.horizon - size + 1
}

// Holds reports whether a row of a partial is closed. Profiles never are.
func (c Closed) Holds(kind view.Partial, r *view.Row) bool {
	switch kind {
	case view.Profiles:
		return false
	case view.SessionFragments:
		return r.Num[2]+c.gap < c.horizon
	default:
		return r.Num[0]+c.sizes.of(kind) <= c.horizon
	}
}
