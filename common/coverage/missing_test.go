package coverage_test

import (
	"testing"

	"archbench/common/coverage"
)

func TestMissingAddsUpWhatIsBehind(t *testing.T) {
	is := coverage.Coverage{Orders: coverage.Vector{10, 900}, Customers: coverage.Vector{3, 0}}
	for _, c := range []struct {
		name string
		of   coverage.Coverage
		want int64
	}{
		{"itself", is, 0},
		{"less everywhere", coverage.Zero(2), 0},
		{"ahead in one, behind in another", coverage.Coverage{Orders: coverage.Vector{110, 0}, Customers: coverage.Vector{0, 7}}, 107},
	} {
		if got := is.Missing(c.of); got != c.want {
			t.Errorf("%s: %d records missing, want %d", c.name, got, c.want)
		}
	}
}
