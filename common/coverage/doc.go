// Package coverage defines offset vectors: what an answer, a commit or a
// segment includes of the two input topics.
//
// It imports none of the project's packages. Its invariant: a vector means, for
// each partition, the next offset that is not yet included; operations on
// vectors of different lengths are errors or false, never a silent guess.
package coverage
