// Package architecture is what the three pipelines have in common as seen from
// outside: how one is configured and run, asked, told to change its rules, and
// what it reports. It owns Answer and Status.
//
// It may import coverage, view, eventlog and fault. Its invariant: an answer's
// rows and its coverage are one consistent cut, and coverage is announced only
// when an answer would include it.
package architecture
