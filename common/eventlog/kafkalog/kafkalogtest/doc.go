// Package kafkalogtest holds kafkalog against a cluster, whatever kind that is:
// the suite that every log passes, and batches as other producers write them.
//
// It may import eventlog, kafkalog and logtest. Its invariant: every kind of
// broker faces the same cases.
package kafkalogtest
