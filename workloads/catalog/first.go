package catalog

import (
	"io"
	"strconv"

	"archbench/workloads"
)

// first is the beginning of a source: its first n events. In a source that ends,
// all profile changes come before the first order line.
type first struct {
	workloads.Source
	n, taken int64
}

// Next implements workloads.Source.
func (f *first) Next(e *workloads.Event) error {
	if f.taken == f.n {
		return io.EOF
	}
	f.taken++
	return f.Source.Next(e)
}

// Events implements workloads.Source.
func (f *first) Events() int64 { return f.n }

// Lines implements workloads.Source.
func (f *first) Lines() int64 {
	changes := f.Source.Events() - f.Source.Lines()
	return max(0, f.n-changes)
}

// Describe implements workloads.Source.
func (f *first) Describe() workloads.Description {
	d := f.Source.Describe()
	parameters := map[string]string{"events": strconv.FormatInt(f.n, 10)}
	for name, value := range d.Parameters {
		parameters[name] = value
	}
	d.Parameters = parameters
	return d
}
