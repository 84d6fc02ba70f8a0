// Package oracle knows the truth: the finished rows of any view, at any
// coverage, straight from the workload's definitions.
//
// It may import event, coverage and view, and shares no code with the two
// kernels: it is the third implementation, plain and slow, that the others are
// judged by. It answers by the exact definitions and, where the history was made
// for it, by those of policy bounded. Its invariant: an answer depends on nothing
// but the prefixes that coverage and seam name, the rules and the parameters.
package oracle
