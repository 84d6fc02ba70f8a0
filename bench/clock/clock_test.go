package clock_test

import (
	"testing"
	"time"

	"archbench/bench/clock"
)

func TestClock(t *testing.T) {
	start := time.Now()
	c := clock.From(start)
	for _, d := range []time.Duration{0, time.Microsecond, 1500 * time.Microsecond, time.Hour, -time.Second} {
		us := start.UnixMicro() + d.Microseconds()
		if got := c.US(start.Add(d)); got != us {
			t.Errorf("US(start+%v) = %d, want %d", d, got, us)
		}
		if got := c.At(us).Sub(start); got != d {
			t.Errorf("At(%d) is start+%v, want start+%v", us, got, d)
		}
	}
	if before, now := c.US(time.Now()), c.NowUS(); now < before {
		t.Errorf("NowUS went back: %d after %d", now, before)
	}
}

// A moment whose wall clock was set differently has the same µs: only the
// monotonic reading counts.
func TestClockIgnoresSteps(t *testing.T) {
	start := time.Now()
	c := clock.From(start)
	later := start.Add(time.Second)
	if c.US(later) == c.US(later.Round(0).Add(time.Hour)) {
		t.Fatal("the test cannot tell the clocks apart") // without a monotonic reading the wall clock counts
	}
	if got := c.US(later) - c.US(start); got != 1_000_000 {
		t.Errorf("a second is %d µs", got)
	}
}
