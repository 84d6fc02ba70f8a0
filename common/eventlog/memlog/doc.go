// Package memlog is a partitioned log in memory, for tests and for measuring
// without a broker.
//
// It may import eventlog. Its invariant: it behaves as eventlog demands of
// Kafka, including errors for positions that are gone.
package memlog
