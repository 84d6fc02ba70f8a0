package stream

// Times are the least and the greatest of some event or window times, ms. The zero
// value is that of none.
type Times struct {
	Earliest, Latest int64
	Any              bool
}

// Add widens them to include a time, ms.
func (t *Times) Add(at int64) { t.Merge(Times{at, at, true}) }

// Merge widens them to include others.
func (t *Times) Merge(o Times) {
	switch {
	case !o.Any:
	case !t.Any:
		*t = o
	default:
		t.Earliest, t.Latest = min(t.Earliest, o.Earliest), max(t.Latest, o.Latest)
	}
}
