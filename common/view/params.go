package view

import (
	"errors"
	"fmt"
	"time"
)

// Params are the sizes and thresholds of the views. Durations are whole milliseconds.
type Params struct {
	Tumbling   time.Duration // Q1's window
	HopSize    time.Duration // Q2's window, a multiple of HopSlide
	HopSlide   time.Duration // Q2's slide
	SessionGap time.Duration // Q3: a longer silence begins a new session
	Top        time.Duration // Q4's window
	Segment    time.Duration // Q5's window
	Distinct   time.Duration // Q6's window
	Alert      time.Duration // Q7's window
	TopK       int           // Q4's ranks per window
	// AlertThresholdMilli is the least sum that Q7 shows, in thousandths of a pound.
	AlertThresholdMilli int64
}

// DefaultParams returns the workload's defaults.
func DefaultParams() Params {
	return Params{
		Tumbling: time.Minute, HopSize: time.Hour, HopSlide: time.Minute, SessionGap: 30 * time.Minute,
		Top: time.Hour, Segment: time.Hour, Distinct: time.Hour, Alert: time.Minute,
		TopK: 10, AlertThresholdMilli: 1_000_000,
	}
}

// Validate says, in one sentence each, what is wrong with the parameters.
func (p Params) Validate() error {
	var errs []error
	for _, w := range []struct {
		name string
		d    time.Duration
	}{
		{"windows.tumbling", p.Tumbling}, {"windows.hop_size", p.HopSize}, {"windows.hop_slide", p.HopSlide},
		{"windows.session_gap", p.SessionGap}, {"windows.top", p.Top}, {"windows.segment", p.Segment},
		{"windows.distinct", p.Distinct}, {"windows.alert", p.Alert},
	} {
		if w.d <= 0 || w.d%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("%s is %v: it must be a positive number of whole milliseconds", w.name, w.d))
		}
	}
	if p.HopSlide > 0 && p.HopSize%p.HopSlide != 0 {
		errs = append(errs, fmt.Errorf("windows.hop_size %v must be a multiple of windows.hop_slide %v", p.HopSize, p.HopSlide))
	}
	if p.TopK < 1 {
		errs = append(errs, fmt.Errorf("top_k is %d: it must be at least 1", p.TopK))
	}
	if p.AlertThresholdMilli < 1 {
		errs = append(errs, fmt.Errorf("alert_threshold_milli is %d: it must be at least 1", p.AlertThresholdMilli))
	}
	return errors.Join(errs...)
}

// WindowStart floors t to a multiple of size, both ms; it floors negative times too.
func WindowStart(t, size int64) int64 {
	start := t - t%size
	if t < 0 && start > t {
		start -= size
	}
	return start
}
