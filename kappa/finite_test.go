package kappa_test

import (
	"testing"

	"archbench/bench/conformance"
)

// Ids and rows in memory do not grow with the stream. (Profiles grow until every
// customer has one.)
func TestStateStaysFinite(t *testing.T) {
	conformance.StaysFinite(t, subject(), 3_000_000, "ids", "rows")
}
