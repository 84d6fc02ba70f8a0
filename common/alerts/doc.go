// Package alerts is alerts as events: what a record of topic alerts holds, how the
// topic is read, and the outbox through which every architecture writes them.
//
// It may import eventlog, fault and view. Its invariant: an alert that was added to
// an outbox is among those waiting until its record was acknowledged. Who keeps the
// waiting ones with the offsets that it commits, and adds them again after a restart,
// loses none; some may be written more than once.
package alerts
