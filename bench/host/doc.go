// Package host says what machine a run is on, what was stolen from it, and how
// its processors are parted between the harness and an architecture.
//
// It may import results. It reads Linux's /proc.
package host
