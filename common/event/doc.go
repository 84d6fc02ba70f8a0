// Package event defines what travels on the two input topics: the order line
// and the profile change, their JSON form, and the one verdict on whether a
// record is usable.
//
// It imports none of the project's packages. Its invariant: a value that
// Decoder accepts obeys every rule of the workload's "Unusable records", and
// decoding what Append wrote gives back an equal value.
package event
