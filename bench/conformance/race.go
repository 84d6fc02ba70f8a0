//go:build race

package conformance

// slowness is how much less of a long stream is read where the race detector is on.
const slowness = 4
