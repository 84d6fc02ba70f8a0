// Package kappa is the streaming architecture: one pipeline, the log is the only
// source, and new rules mean a second instance that replays the log beside the
// live one and takes its place.
//
// It may import common only. Its invariant: what an answer shows of a partition
// is the state after exactly the records below that partition's position, and
// state and position are committed in one batch. (Under a lesser guarantee in two, in
// its order, so that a crash between them shows.)
package kappa
