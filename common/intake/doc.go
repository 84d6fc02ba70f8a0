// Package intake reads one partition of an input topic, decodes it and sends
// what is unusable to the dead-letter queue, for every architecture alike.
//
// It may import event, eventlog and fault. Its invariant: a batch is handed on
// only when its unusable records are in the dead-letter queue, so a commit that
// covers a record never loses its dead letter.
package intake
