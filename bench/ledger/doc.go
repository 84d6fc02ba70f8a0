// Package ledger knows when every record was meant to be sent and when an
// announced coverage first included it, for good.
//
// It may import bench/load, bench/stats and common. Its invariant: every event of
// the window is counted once; one that was never covered is counted too.
package ledger
