package kafkalog

import (
	"context"
	"net"
	"sync/atomic"
)

// ReceivedBytes is how many bytes brokers have sent over the connections that read
// and write records, since Open: compressed as they came, with the protocol's own.
func (l *Log) ReceivedBytes() int64 { return l.received.Load() }

// dialCounting dials connections that add what they receive to a count.
func dialCounting(received *atomic.Int64) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &counted{conn, received}, nil
	}
}

type counted struct {
	net.Conn
	received *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}
