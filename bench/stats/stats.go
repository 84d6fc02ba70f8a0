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
	if err := h.RecordValue(us); err != nil {
		return fmt.Errorf("a duration of %d µs is over an hour", us)
	}
	return nil
}

// Least numbers of independent moments that a percentile needs.
const (
	LeastForP99  = 100
	LeastForP999 = 1000
)

// Percentiles reads the figures off. moments is how many independent moments the
// values come from: a thousand events that one announcement covers are one.
func (h Histogram) Percentiles(moments int64) *results.Percentiles {
	p := &results.Percentiles{Count: h.TotalCount()}
	if p.Count == 0 {
		return p
	}
	at := func(q float64) *int64 { v := h.ValueAtQuantile(q); return &v }
	most := h.Max()
	p.P50, p.P90, p.Max = at(50), at(90), &most
	if moments >= LeastForP99 {
		p.P99 = at(99)
	}
	if moments >= LeastForP999 {
		p.P999 = at(99.9)
	}
	if p.P99 == nil {
		p.Note = fmt.Sprintf("too few announcements (%d) for p99, which needs %d", moments, LeastForP99)
	} else if p.P999 == nil {
		p.Note = fmt.Sprintf("too few announcements (%d) for p99.9, which needs %d", moments, LeastForP999)
	}
	return p
}
