// Package brokertest gives tests a log on real Kafka.
//
// It may import common and testcontainers. Its invariant: a test runs on real
// Kafka, is skipped with the reason, or fails where Kafka is required; it never
// runs on something else instead.
package brokertest
