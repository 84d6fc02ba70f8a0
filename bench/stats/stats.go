package stats

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"

	"archbench/results"
)

// Histogram records durations in µs, from 0 to an hour, with three digits.
type Histogram struct{ *hdrhistogram.Histogram }

const hourUS = 3_600_000_000

// New returns an empty histogram.
func New() Histogram { return Histogram{hdrhistogram.New(1, hourUS, 3)} }

// Record adds one duration, µs. Negative ones and those over an hour are errors.
func (h Histogram) Record(us int64) error {
	if us < 0 {
		return fmt.Errorf("a duration of %d µs is negative: an effect came before its cause", us)
	}
	if us > hourUS { // the histogram's own bound lies at the next power of two
		return fmt.Errorf("a duration of %d µs is over an hour", us)
	}
	return h.RecordValue(us)
}

// Least numbers of independent moments that a percentile needs.
const (
	LeastForP99  = 100
	LeastForP999 = 1000
)

// Percentiles reads the figures off. n is how many independent moments the
// values come from, and moments what these are called: a thousand events that
// one announcement covers are one moment.
func (h Histogram) Percentiles(n int64, moments string) *results.Percentiles {
	p := &results.Percentiles{Count: h.TotalCount()}
	if p.Count == 0 {
		return p
	}
	at := func(q float64) *int64 { v := h.ValueAtQuantile(q); return &v }
	most := h.Max()
	p.P50, p.P90, p.Max = at(50), at(90), &most
	if n >= LeastForP99 {
		p.P99 = at(99)
	}
	if n >= LeastForP999 {
		p.P999 = at(99.9)
	}
	switch {
	case p.P99 == nil:
		p.Note = fmt.Sprintf("too few %s (%d) for p99, which needs %d", moments, n, LeastForP99)
	case p.P999 == nil:
		p.Note = fmt.Sprintf("too few %s (%d) for p99.9, which needs %d", moments, n, LeastForP999)
	}
	return p
}
