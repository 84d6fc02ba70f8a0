package judge

import (
	"math"
	"slices"

	"archbench/common/view"
	"archbench/results"
)

// relativeErrors are those of the rows of distinct_customers against how many
// customers there are among the same lines. A row that is missing, extra or there
// twice is off by all of it.
func relativeErrors(got, want []view.Row) []float64 {
	type key struct {
		window  int64
		country string
	}
	estimates := map[key]int64{}
	var off []float64
	for _, r := range got {
		k := key{r.Num[0], r.Text}
		if _, twice := estimates[k]; twice {
			off = append(off, 1)
		}
		estimates[k] = r.Num[1]
	}
	for _, r := range want {
		k := key{r.Num[0], r.Text}
		estimate, there := estimates[k]
		delete(estimates, k)
		if !there {
			off = append(off, 1)
			continue
		}
		off = append(off, math.Abs(float64(estimate-r.Num[1]))/float64(r.Num[1]))
	}
	for range estimates {
		off = append(off, 1)
	}
	return off
}

// DistinctError sums up the errors of distinct_customers over all rows of all
// reads and of the whole view at the end; nil where there were none to judge.
func (v *Verdict) DistinctError() *results.DistinctError {
	if len(v.off) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(v.off))
	at := func(share float64) float64 { return sorted[int(math.Ceil(share*float64(len(sorted))))-1] }
	return &results.DistinctError{P50: at(0.5), P99: at(0.99), Max: sorted[len(sorted)-1]}
}
