package view

// Partial names one relation of mergeable partial results. Partials of any two
// disjoint sets of lines merge into the partial of their union, so a view can be
// put together from partitions, spans of the log, batches and both kernels.
type Partial string

// The partials, one for each view and the profiles that Q5 joins with. The
// comment gives how rows with equal keys merge.
const (
	// CountryWindows (Q1): lines, units, gross, cancelled per (window, country) add up.
	CountryWindows Partial = "country_windows"
	// CountryPanes (Q2): the same per slide; a window is the sum of its panes.
	CountryPanes Partial = "country_panes"
	// SessionFragments (Q3): runs of one customer's lines without a gap; fragments
	// of one customer that overlap or lie at most the gap apart become one.
	SessionFragments Partial = "session_fragments"
	// ProductWindows (Q4): units, gross of sales per (window, stock code) add up.
	ProductWindows Partial = "product_windows"
	// CustomerWindows (Q5): lines, net per (window, customer) add up; customer 0 is all guests.
	CustomerWindows Partial = "customer_windows"
	// CustomerSets (Q6): the set of (window, country, customer); union.
	CustomerSets Partial = "customer_sets"
	// SpendWindows (Q7): gross of sales per (window, customer) adds up; no guests.
	SpendWindows Partial = "spend_windows"
	// Profiles (Q5): per (customer, valid_from) the change with the greatest offset
	// wins. Text is the segment, empty for a deletion. Independent of rules.
	Profiles Partial = "profiles"
)

// The partials that take the place of CustomerWindows and CustomerSets where
// state is to stay finite (policy bounded). The stream kernel alone makes them.
const (
	// SegmentWindows (Q5): lines, net per (window, segment) add up; the segment is
	// the one that was known when each line was processed.
	SegmentWindows Partial = "segment_windows"
	// CustomerSketches (Q6): registers of a HyperLogLog sketch per (window,
	// country), 32 in a row, one in each byte of four integers; the greater wins.
	CustomerSketches Partial = "customer_sketches"
)

// Partials lists those of the exact definitions.
func Partials() []Partial {
	return []Partial{CountryWindows, CountryPanes, SessionFragments, ProductWindows, CustomerWindows, CustomerSets, SpendWindows, Profiles}
}

// BoundedPartials lists those of policy bounded.
func BoundedPartials() []Partial {
	return []Partial{CountryWindows, CountryPanes, SessionFragments, ProductWindows, SegmentWindows, CustomerSketches, SpendWindows, Profiles}
}

// Schema returns the shape of the partial's rows.
func (p Partial) Schema() Schema {
	s := Schema{Name: string(p), Keys: 2}
	switch p {
	case CountryWindows:
		s.Columns = columns("window_start", "country", "lines", "units", "gross_milli", "cancelled_milli")
	case CountryPanes:
		s.Columns = columns("window_start", "country", "lines", "gross_milli", "net_milli")
	case SessionFragments:
		s.Columns = columns("customer_id", "session_start", "session_end", "lines", "net_milli")
		s.Window = 1
	case ProductWindows:
		s.Columns = columns("window_start", "stock_code", "units", "gross_milli")
	case CustomerWindows:
		s.Columns = columns("window_start", "customer_id", "lines", "net_milli")
	case CustomerSets:
		s.Columns = columns("window_start", "country", "customer_id")
		s.Keys = 3
	case SpendWindows:
		s.Columns = columns("window_start", "customer_id", "gross_milli")
	case Profiles:
		s.Columns = columns("customer_id", "valid_from_ms", "offset", "segment")
		s.Window = 1
	case SegmentWindows:
		s.Columns = columns("window_start", "segment", "lines", "net_milli")
	case CustomerSketches:
		s.Columns = columns("window_start", "country", "block", "registers_0", "registers_8", "registers_16", "registers_24")
		s.Keys = 3
	}
	return s
}

// BoundedPartial names the partial that the view is finished from under policy bounded.
func (n Name) BoundedPartial() Partial {
	switch n {
	case RevenueBySegment:
		return SegmentWindows
	case DistinctCustomers:
		return CustomerSketches
	default:
		return n.Partial()
	}
}

// Partial names the partial that the view is finished from (Q5 needs Profiles as well).
func (n Name) Partial() Partial {
	switch n {
	case RevenueByCountry:
		return CountryWindows
	case RollingRevenue:
		return CountryPanes
	case CustomerSessions:
		return SessionFragments
	case TopProducts:
		return ProductWindows
	case RevenueBySegment:
		return CustomerWindows
	case DistinctCustomers:
		return CustomerSets
	default:
		return SpendWindows
	}
}
