package render

import (
	"fmt"
	"strconv"
	"strings"

	"archbench/results"
)

// none stands where there is no figure.
const none = "–"

// duration writes µs as a reader wants them.
func duration(us int64) string {
	switch {
	case us >= 10_000_000:
		return fmt.Sprintf("%.1f s", float64(us)/1e6)
	case us >= 1_000_000:
		return fmt.Sprintf("%.2f s", float64(us)/1e6)
	}
	return fmt.Sprintf("%.1f ms", float64(us)/1e3)
}

// optional writes a percentile that may be absent.
func optional(us *int64) string {
	if us == nil {
		return none
	}
	return duration(*us)
}

// tail writes a percentile that few moments may not support, and then how few.
func tail(p *results.Percentiles, us *int64) string {
	switch {
	case us != nil:
		return duration(*us)
	case p.Note != "":
		short, _, _ := strings.Cut(p.Note, " for ")
		return short
	}
	return none
}

// count writes an integer with its thousands apart.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// perSecond writes a rate.
func perSecond(rate float64) string { return count(int64(rate+0.5)) + "/s" }

// seconds writes a time that was long.
func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// bytes writes a size in the largest binary unit that leaves it over one.
func bytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
}

func optionalBytes(n *int64) string {
	if n == nil {
		return none
	}
	return bytes(*n)
}

// pounds writes thousandths of a pound.
func pounds(milli int64) string { return fmt.Sprintf("£%s.%03d", count(milli/1000), milli%1000) }
