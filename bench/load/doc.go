// Package load sends events on schedule, whatever the system does (open loop).
//
// It may import bench/clock, bench/stats, common and workloads. Its invariant:
// when an event is due is a function of its number alone, every latency counts
// from there, and the generator's own lateness is measured and reported.
package load
