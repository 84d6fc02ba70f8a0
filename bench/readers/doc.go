// Package readers asks for views on schedule while traffic runs, and spools every
// answer as received, to be judged afterwards.
//
// It may import bench/clock and common. Its invariant: the schedule does not
// wait for answers, and nothing of an answer is lost between its arrival and the
// spool.
package readers
