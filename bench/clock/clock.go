package clock

import "time"

// Clock is one reading of the wall clock, monotonic from there.
type Clock struct{ start time.Time }

// New reads the wall clock.
func New() Clock { return From(time.Now()) }

// From takes a reading made before.
func From(start time.Time) Clock { return Clock{start} }

// US is a moment in µs since the epoch.
func (c Clock) US(t time.Time) int64 { return c.start.UnixMicro() + t.Sub(c.start).Microseconds() }

// NowUS is the present in µs since the epoch.
func (c Clock) NowUS() int64 { return c.US(time.Now()) }

// At is the moment of so many µs since the epoch, to wait for.
func (c Clock) At(us int64) time.Time {
	return c.start.Add(time.Duration(us-c.start.UnixMicro()) * time.Microsecond)
}
