// Package store is Kappa's durable state: the partial rows, ids and positions of
// one or two generations, in Pebble, changed only by atomic batches.
//
// It may import common. Its invariant: after a crash the store holds exactly
// what the committed batches wrote. Whether rows and the position they belong to are
// in one batch is for the guarantee to say.
package store
