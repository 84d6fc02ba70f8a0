// Package load sends events on schedule, whatever the system does (open loop).
//
// It may import common and workloads. Its invariant: every event's latency counts
// from when the schedule meant to send it, and the generator's own lateness is
// measured and reported.
package load
