// Package kafkalog is the log on Kafka: reading and writing by segmentio/kafka-go
// on one connection per partition, administration by franz-go's kadm.
//
// It may import eventlog. Its invariant: a cursor repairs connections and follows
// leaders by itself, but never moves its position other than past a record that
// it delivered.
package kafkalog
