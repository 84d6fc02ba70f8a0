// Package ledger knows when every record of the log was meant to be sent and
// when an announced coverage first included it, for good.
//
// It may import bench/load, bench/stats and common. Its invariant: the log is
// read, not assumed: every (partition, offset) has its event and intended time,
// and every event of the window is counted once, those never covered too.
package ledger
