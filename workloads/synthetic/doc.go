// Package synthetic makes order events that are addressable by index: event i is
// a function of the generator's version, the seed, the parameters and i.
//
// It may import workloads, workloads/draws and common. Its invariant: neither the clock nor the
// sending rate nor other events change an event; a fingerprint test holds each
// version to what it made when it was released.
package synthetic
