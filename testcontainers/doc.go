// Package broker starts Kafka for a run: in a container, from local jars, or
// embedded; or uses one that is there. auto takes the first that works and says
// why it passed over the others.
//
// It may import common. Its invariant: what it started ends with this process,
// and Info never lets an embedded broker pass for Kafka.
package broker
