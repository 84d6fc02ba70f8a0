// Package disturb lays over a source of events what goes wrong on the way to
// the log: late and disordered lines, duplicates, unusable records, late profile
// changes, a change of the schema, skewed clocks.
//
// It may import workloads, workloads/draws and common. Its invariant: every
// event of the inner source comes out exactly once, what is added is announced
// by Events and marked in the event, and all of it is a function of the inner
// source, the seed and the parameters.
package disturb
