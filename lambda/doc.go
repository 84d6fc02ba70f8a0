// Package lambda is the Lambda architecture: a batch layer that recomputes
// everything from an immutable master dataset, a speed layer for what came
// since, and answers that merge the two.
//
// It may import common only. Its invariant: an answer is the finish over the
// batch layer's lines of prefix seam and the speed layer's lines of [seam,
// coverage); that the two meet without gap or overlap is checked at every read.
package lambda
