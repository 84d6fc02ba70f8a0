// Package serving is the HTTP contract over an architecture: server and client.
//
// It may import architecture, coverage and view. Its invariant: everything that
// crosses the wire is the contract's, so any engine that speaks it can stand in
// for ours.
package serving
