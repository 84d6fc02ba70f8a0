package ledger

import (
	"fmt"
	"time"

	"archbench/bench/load"
	"archbench/bench/stats"
	"archbench/common/coverage"
	"archbench/common/serving"
)

// Freshness is how old events were when they became visible.
type Freshness struct {
	stats.Histogram
	// Announcements is how many announcements covered an event of the window.
	Announcements int64
	// Never is how many events of the window no announcement covered for good.
	Never int64
}

// Window bounds the intended times that count, µs since the epoch: [From, To).
type Window struct{ From, To int64 }

func (w Window) holds(us int64) bool { return us >= w.From && us < w.To }

// Measure works out the freshness of every event of the window from the
// announcements in the order of their arrival. An event that was covered, lost
// in a crash and covered again counts at the later moment; one that was never
// covered counts with its age at end.
func Measure(sent *load.Sent, announced []serving.Announced, w Window, end time.Time) (Freshness, error) {
	f := Freshness{Histogram: stats.New()}
	used := make([]bool, len(announced))
	topics := []struct {
		intended [][]int64
		vector   func(coverage.Coverage) coverage.Vector
	}{
		{sent.Orders, func(c coverage.Coverage) coverage.Vector { return c.Orders }},
		{sent.Customers, func(c coverage.Coverage) coverage.Vector { return c.Customers }},
	}
	for _, t := range topics {
		for p, intended := range t.intended {
			covered, err := coveredBy(announced, p, int64(len(intended)), t.vector)
			if err != nil {
				return f, err
			}
			for o, us := range intended {
				if !w.holds(us) {
					continue
				}
				at := end
				if by := covered[o]; by >= 0 {
					used[by], at = true, announced[by].At
				} else {
					f.Never++
				}
				if err := f.Record(at.UnixMicro() - us); err != nil {
					return f, fmt.Errorf("partition %d offset %d: %w", p, o, err)
				}
			}
		}
	}
	for _, u := range used {
		if u {
			f.Announcements++
		}
	}
	return f, nil
}

// coveredBy finds for each offset of a partition the announcement that covered
// it for good, -1 if none did.
func coveredBy(announced []serving.Announced, p int, n int64, vector func(coverage.Coverage) coverage.Vector) ([]int32, error) {
	covered := make([]int32, n)
	for i := range covered {
		covered[i] = -1
	}
	var at int64
	for i, a := range announced {
		v := vector(a.Coverage)
		if p >= len(v) {
			return nil, fmt.Errorf("announcement %d names %d partitions, partition %d was sent to", i, len(v), p)
		}
		if v[p] > n {
			return nil, fmt.Errorf("announcement %d covers offset %d of partition %d, only %d were sent", i, v[p]-1, p, n)
		}
		for ; at < v[p]; at++ {
			covered[at] = int32(i)
		}
		for ; at > v[p]; at-- { // a crash lost what was announced
			covered[at-1] = -1
		}
	}
	return covered, nil
}

// Age is how far behind an answer is: the time from the least intended time,
// among the events due by then that its coverage does not include, to its
// arrival; 0 if it includes all that were due. µs.
func Age(sent *load.Sent, at coverage.Coverage, received time.Time, liveFrom int64) int64 {
	now := received.UnixMicro()
	oldest := now
	look := func(intended [][]int64, v coverage.Vector) {
		for p := range intended {
			if p < len(v) && v[p] < int64(len(intended[p])) {
				if us := intended[p][v[p]]; us >= liveFrom {
					oldest = min(oldest, us)
				}
			}
		}
	}
	look(sent.Orders, at.Orders)
	look(sent.Customers, at.Customers)
	return now - oldest
}
