// Package kafkalog is the log on Kafka: reading and writing by segmentio/kafka-go
// on one connection per partition, administration and the search for leaders by
// franz-go's kadm.
//
// It may import eventlog. Its invariant: a cursor repairs connections and follows
// leaders by itself, but never moves its position other than past a record that
// it delivered.
//
// What kafka-go does that this package works round: Batch.Read also gives records
// before the requested offset, and no keys or headers; Dialer.DialLeader tries
// for ever where a topic does not exist and may make it; a Conn neither
// reconnects nor follows a leader; a Dialer leaves a connection open whose TLS
// handshake failed, and waits for the answers to SASL without end. What it cannot
// see: control records and aborted records of transactional producers come as
// ordinary records.
package kafkalog
