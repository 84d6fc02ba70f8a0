package hlog

import (
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Write writes one histogram of µs that covers the time from start to end.
func Write(path string, h *hdrhistogram.Histogram, start, end time.Time) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write a histogram log: %w", err)
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	w := hdrhistogram.NewHistogramLogWriter(f)
	w.SetBaseTime(start.UnixMilli())
	h.SetStartTimeMs(start.UnixMilli())
	h.SetEndTimeMs(end.UnixMilli())
	for _, step := range []func() error{
		w.OutputLogFormatVersion, func() error { return w.OutputStartTime(start.UnixMilli()) }, func() error { return w.OutputBaseTime(start.UnixMilli()) }, w.OutputLegend,
		func() error { return w.OutputIntervalHistogram(h) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// Read reads the histogram that Write wrote.
func Read(path string) (*hdrhistogram.Histogram, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a histogram log: %w", err)
	}
	defer f.Close()
	h, err := hdrhistogram.NewHistogramLogReader(f).NextIntervalHistogram()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if h == nil {
		return nil, fmt.Errorf("%s holds no histogram", path)
	}
	return h, nil
}
