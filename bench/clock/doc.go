// Package clock turns moments into µs since the epoch that may be compared.
//
// It imports none of the project's packages. Its invariant: the wall clock is
// read once; a step of it during a run moves no figure.
package clock
