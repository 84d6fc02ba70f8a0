package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Cluster is several Kafka nodes on this machine, each broker and controller.
// Every topic is on all of them, and a write counts when most of them have it.
type Cluster struct {
	// Nodes are the brokers; number i of the cluster is Nodes[i-1].
	Nodes []Broker
}

// StartCluster starts a cluster of n nodes of kind container or local.
func StartCluster(ctx context.Context, o Options, n int) (*Cluster, error) {
	start := startContainerNode
	switch o.Kind {
	case Container:
	case Local:
		start = startLocalNode
	default:
		return nil, fmt.Errorf("a cluster of kind %q: the kinds of which there can be several nodes are container and local", o.Kind)
	}
	nodes, err := quorum(n)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Nodes: make([]Broker, n)}
	g, ctx := errgroup.WithContext(ctx) // at once: none answers before most of them are there
	for i := range nodes {
		g.Go(func() (err error) {
			c.Nodes[i], err = start(ctx, o, nodes[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// quorum configures n nodes as one cluster.
func quorum(n int) ([]node, error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	nodes := make([]node, n)
	voters := make([]string, n)
	for i := range nodes {
		nodes[i] = node{number: i + 1, port: ports[2*i], controllerPort: ports[2*i+1], jvm: soonUp}
		voters[i] = fmt.Sprintf("%d@%s", i+1, loopback(nodes[i].controllerPort))
	}
	for i := range nodes {
		nodes[i].properties = []string{
			"controller.quorum.voters=" + strings.Join(voters, ","),
			fmt.Sprintf("default.replication.factor=%d", n), fmt.Sprintf("min.insync.replicas=%d", n/2+1),
			"broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500", // a dead leader is noticed in three seconds instead of nine
		}
	}
	return nodes, nil
}

// Bootstrap lists the addresses of all nodes.
func (c *Cluster) Bootstrap() []string {
	var all []string
	for _, b := range c.Nodes {
		all = append(all, b.Bootstrap()...)
	}
	return all
}

// Close ends all nodes and removes what they left.
func (c *Cluster) Close() error {
	var errs []error
	for _, b := range c.Nodes {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
