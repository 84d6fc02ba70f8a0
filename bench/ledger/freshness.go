package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"archbench/bench/stats"
	"archbench/common/coverage"
)

// Announced is one announcement of coverage as it was received.
type Announced struct {
	ReceivedUS int64 // µs since the epoch
	Coverage   coverage.Coverage
	Rules      int
}

// Freshness is how old events were when they became visible.
type Freshness struct {
	stats.Histogram
	// Announcements is how many announcements covered an event of the window.
	Announcements int64
	// Never is how many events of the window no announcement covered for good.
	Never int64
}

// topic is one topic's entries and how to find its vector in a coverage.
type topic struct {
	entries [][]Entry
	vector  func(coverage.Coverage) coverage.Vector
}

func (l *Ledger) topics() []topic {
	return []topic{
		{l.Orders, func(c coverage.Coverage) coverage.Vector { return c.Orders }},
		{l.Customers, func(c coverage.Coverage) coverage.Vector { return c.Customers }},
	}
}

// Freshness works out the freshness of every event of the window from the
// announcements in the order of their arrival. An event that was covered, lost
// in a crash and covered again counts at the later moment; one that was never
// covered counts with its age at end.
func (l *Ledger) Freshness(announced []Announced, w Window, endUS int64) (Freshness, error) {
	f := Freshness{Histogram: stats.New()}
	used := make([]bool, len(announced))
	for _, t := range l.topics() {
		for p, entries := range t.entries {
			covered, err := coveredBy(announced, p, int64(len(entries)), t.vector)
			if err != nil {
				return f, err
			}
			for o, e := range entries {
				if !w.Holds(e.IntendedUS) {
					continue
				}
				at := endUS
				if by := covered[o]; by >= 0 {
					used[by], at = true, announced[by].ReceivedUS
				} else {
					f.Never++
				}
				if err := f.Record(at - e.IntendedUS); err != nil {
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

// Check refuses announcements that cannot be true: of other partitions, of more
// records than the log holds, or of events that were not due yet.
func (l *Ledger) Check(announced []Announced) error {
	for _, t := range l.topics() {
		for p, entries := range t.entries {
			covered, err := coveredBy(announced, p, int64(len(entries)), t.vector)
			if err != nil {
				return err
			}
			for o, by := range covered {
				if by >= 0 && announced[by].ReceivedUS < entries[o].IntendedUS {
					return fmt.Errorf("announcement %d covers offset %d of partition %d %d µs before it was due to be sent", by, o, p, entries[o].IntendedUS-announced[by].ReceivedUS)
				}
			}
		}
	}
	return nil
}

// coveredBy finds for each offset of a partition the announcement that covered
// it for good, -1 if none did.
func coveredBy(announced []Announced, p int, n int64, vector func(coverage.Coverage) coverage.Vector) ([]int32, error) {
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
			return nil, fmt.Errorf("announcement %d covers offset %d of partition %d, which holds only %d records", i, v[p]-1, p, n)
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

// WentBack is how often an announcement covered less than the one before.
func WentBack(announced []Announced) (n int64) {
	for i := 1; i < len(announced); i++ {
		if !announced[i].Coverage.AtLeast(announced[i-1].Coverage) {
			n++
		}
	}
	return n
}

// Reading is one answered read.
type Reading struct {
	SentUS, ReceivedUS int64 // µs since the epoch
	Coverage           coverage.Coverage
}

// ReadsWentBack is how many reads covered less, in some partition, than one whose
// answer was there before they were sent. It sorts the reads by sending.
func ReadsWentBack(reads []Reading) (n int64) {
	answered := slices.Clone(reads)
	slices.SortFunc(answered, func(a, b Reading) int { return cmp.Compare(a.ReceivedUS, b.ReceivedUS) })
	slices.SortFunc(reads, func(a, b Reading) int { return cmp.Compare(a.SentUS, b.SentUS) })
	next := 0
	var known coverage.Coverage
	for _, r := range reads {
		for ; next < len(answered) && answered[next].ReceivedUS < r.SentUS; next++ {
			if next == 0 {
				known = answered[0].Coverage.Clone()
			}
			known = coverage.Max(known, answered[next].Coverage)
		}
		if next > 0 && !r.Coverage.AtLeast(known) {
			n++
		}
	}
	return n
}

// Ages tells how far behind answers are.
type Ages struct {
	// least is, for each offset of a partition, the least intended time of the
	// window's events from there on; never where there is none.
	orders, customers [][]int64
}

const never = int64(1<<63 - 1)

// Ages prepares for the events of a window.
func (l *Ledger) Ages(w Window) *Ages { return &Ages{suffixes(l.Orders, w), suffixes(l.Customers, w)} }

func suffixes(partitions [][]Entry, w Window) [][]int64 {
	out := make([][]int64, len(partitions))
	for p, entries := range partitions {
		out[p] = make([]int64, len(entries)+1)
		least := never
		out[p][len(entries)] = least
		for o := len(entries) - 1; o >= 0; o-- {
			if us := entries[o].IntendedUS; w.Holds(us) {
				least = min(least, us)
			}
			out[p][o] = least
		}
	}
	return out
}

// At is the time from the least intended time, among the events due by the
// answer's arrival that its coverage does not include, to the arrival; 0 if it
// includes all that were due. µs.
func (a *Ages) At(at coverage.Coverage, receivedUS int64) int64 {
	oldest := receivedUS
	look := func(least [][]int64, v coverage.Vector) {
		for p := range least {
			if p < len(v) && v[p] < int64(len(least[p])) {
				oldest = min(oldest, least[p][v[p]])
			}
		}
	}
	look(a.orders, at.Orders)
	look(a.customers, at.Customers)
	return receivedUS - oldest
}
