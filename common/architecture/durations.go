package architecture

import (
	"slices"
	"sync"
	"time"
)

// Work is a kind of work that takes its time again and again.
type Work string

// The kinds of work whose durations are shown.
const (
	Commit     Work = "commit"     // from the decision to commit to the durable commit
	Batch      Work = "batch"      // one run of Lambda's batch layer, one micro-batch of Unified
	Compaction Work = "compaction" // merging files or rows of the state
)

// firstBound is the least upper bound of a duration's buckets, seconds; each of
// the others is twice the one before.
const (
	firstBound = 0.001
	bounds     = 18 // the last is 131 s
)

// Durations counts how long pieces of work took. Its zero value is ready.
type Durations struct {
	mu   sync.Mutex
	took map[Work]*Histogram
}

// Histogram is a distribution of durations as Prometheus has it.
type Histogram struct {
	Count uint64 `json:"count"`
	// Seconds is the sum of all durations.
	Seconds float64 `json:"seconds"`
	// Within holds, for each of Bounds, how many took at most so long.
	Within []uint64 `json:"within"`
}

// Bounds are the upper bounds of a histogram's buckets, seconds.
func Bounds() []float64 {
	all := make([]float64, bounds)
	for i := range all {
		all[i] = firstBound * float64(uint64(1)<<i)
	}
	return all
}

// Since counts a piece of work that began at a moment and is over now.
func (d *Durations) Since(w Work, began time.Time) { d.Add(w, time.Since(began)) }

// Add counts a piece of work that took so long.
func (d *Durations) Add(w Work, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.took == nil {
		d.took = map[Work]*Histogram{}
	}
	h := d.took[w]
	if h == nil {
		h = &Histogram{Within: make([]uint64, bounds)}
		d.took[w] = h
	}
	h.Count++
	h.Seconds += took.Seconds()
	for i, bound := range Bounds() {
		if took.Seconds() <= bound {
			h.Within[i]++
		}
	}
}

// Snapshot copies what was counted so far; each kind named is there, work or none.
func (d *Durations) Snapshot(kinds ...Work) map[Work]Histogram {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[Work]Histogram{}
	for _, w := range kinds {
		all[w] = Histogram{Within: make([]uint64, bounds)}
	}
	for w, h := range d.took {
		all[w] = Histogram{Count: h.Count, Seconds: h.Seconds, Within: slices.Clone(h.Within)}
	}
	return all
}
