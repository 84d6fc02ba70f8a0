// Package eventlog is the partitioned log as the project sees it: topics,
// explicit partitions, offsets that live with the reader's state, and errors
// that say when a position is no longer in the log.
//
// It carries bytes and knows nothing of events; it may import coverage. Back
// ends are kafkalog (Kafka) and memlog (in memory), both held to logtest. Its
// invariant: a cursor delivers every record from its position on, each once and
// in order, or fails with an error; it never skips.
package eventlog
