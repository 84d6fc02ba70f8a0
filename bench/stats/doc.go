// Package stats turns recorded durations into figures that can be defended.
//
// It may import results. Its invariant: a value out of range is an error, not
// clamped, and a percentile that too few independent moments support is absent.
package stats
