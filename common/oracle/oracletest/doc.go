// Package oracletest makes small random histories, parameters and queries that
// meet every rule of the workload often, for tests that hold an implementation
// against the oracle.
//
// It may import event, eventlog, coverage, view and oracle. Its invariant:
// everything is a function of the random source it is given.
package oracletest
