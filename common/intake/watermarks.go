package intake

import (
	"math"
	"sync/atomic"
)

// Watermarks are the greatest event times among the usable lines that were read,
// by partition of orders, for those who watch. No rule hangs on them: a policy
// that judges by watermarks keeps its own with its state.
type Watermarks struct{ ms []atomic.Int64 }

// NewWatermarks are those of n partitions of which nothing was read.
func NewWatermarks(n int) *Watermarks {
	w := &Watermarks{ms: make([]atomic.Int64, n)}
	for i := range w.ms {
		w.ms[i].Store(math.MinInt64)
	}
	return w
}

// saw takes the usable lines of a batch. Without Watermarks it does nothing.
func (w *Watermarks) saw(partition int, records []OrderRecord) {
	if w == nil {
		return
	}
	greatest := int64(math.MinInt64)
	for i := range records {
		if records[i].Unusable == "" {
			greatest = max(greatest, records[i].Line.EventTimeMS)
		}
	}
	for had := w.ms[partition].Load(); greatest > had; had = w.ms[partition].Load() {
		if w.ms[partition].CompareAndSwap(had, greatest) {
			return
		}
	}
}

// MS returns each partition's, ms since the epoch; nil where there was no line yet.
func (w *Watermarks) MS() []*int64 {
	all := make([]*int64, len(w.ms))
	for i := range w.ms {
		if ms := w.ms[i].Load(); ms != math.MinInt64 {
			all[i] = &ms
		}
	}
	return all
}
