// Package draws makes random numbers that are addressable: each is a function
// of a seed, the thing that it decides about, and its number.
//
// It imports nothing of the project. Its invariant: no draw depends on another,
// so that what is decided about one thing never changes another.
package draws
