package gate

import (
	"fmt"

	"archbench/results"
)

// Limits of the gates.
const (
	maxLagP99US    = 5_000
	leastAchieved  = 0.999
	maxSteal       = 5.0 // percent
	leastBatches   = 5   // Lambda, inside the window of steady
	leastCommits   = 30  // Kappa and Unified
	leastReadShare = 0.9 // answered, of those scheduled
)

// Facts are what the gates look at. What does not apply is left zero.
type Facts struct {
	Lag          *results.Percentiles // of the generator
	Offered      float64              // events per second
	Achieved     float64
	StealPercent float64
	Events       *int64 // of the window; nil: there is no window
	Never        int64  // of them, never covered
	WentBack     int64  // announcements that covered less than the one before, without a crash
	AlertsNever  int64  // alerts of the window that did not come
	// ReadsWentBack counts reads that covered less than one answered before them.
	ReadsWentBack int64
	Scheduled     int64 // reads that fell due
	Answered      int64 // of them
	// Lambda says which count of batches is demanded; Batches is nil where none is.
	Lambda  bool
	Batches *int64
}

// Check returns a sentence for each gate that failed.
func Check(f Facts) []string {
	var failed []string
	fail := func(format string, args ...any) { failed = append(failed, fmt.Sprintf(format, args...)) }
	if f.Lag != nil && f.Lag.Count > 0 {
		switch {
		case f.Lag.P99 == nil:
			fail("the generator's lag has no p99: %s", f.Lag.Note)
		case *f.Lag.P99 > maxLagP99US:
			fail("the generator was late: lag p99 %d µs is over %d µs", *f.Lag.P99, maxLagP99US)
		}
	}
	if f.Offered > 0 && f.Achieved < leastAchieved*f.Offered {
		fail("the offered rate was not reached: %.1f of %.1f events/s", f.Achieved, f.Offered)
	}
	if f.StealPercent > maxSteal {
		fail("the machine's host took %.1f %% of the processors' time, more than %.0f %%", f.StealPercent, maxSteal)
	}
	if f.Events != nil && *f.Events == 0 {
		fail("no event fell into the window: the source ended before it began")
	}
	if f.Never > 0 {
		fail("%d events were never covered", f.Never)
	}
	if f.AlertsNever > 0 {
		fail("%d alerts never came", f.AlertsNever)
	}
	if f.WentBack > 0 {
		fail("coverage went back %d times although nothing crashed", f.WentBack)
	}
	if f.ReadsWentBack > 0 {
		fail("%d reads covered less than one that was answered before they were sent", f.ReadsWentBack)
	}
	if f.Scheduled > 0 && float64(f.Answered) < leastReadShare*float64(f.Scheduled) {
		fail("the readers starved: %d of %d reads were answered", f.Answered, f.Scheduled)
	}
	if f.Batches != nil {
		least := int64(leastCommits)
		what := "commits"
		if f.Lambda {
			least, what = leastBatches, "batches"
		}
		if *f.Batches < least {
			fail("only %d %s fell into the window, %d are needed", *f.Batches, what, least)
		}
	}
	return failed
}
