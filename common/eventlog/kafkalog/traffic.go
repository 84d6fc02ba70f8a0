package kafkalog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
)

// ReceivedBytes is how many bytes brokers have sent over the connections that read
// and write records, since Open: compressed as they came, with the protocol's own.
func (l *Log) ReceivedBytes() int64 { return l.received.Load() }

// dialCounting dials connections, over TLS if it is given, that add what they
// receive to a count. The Dialer's own TLS would leave a connection open whose
// handshake failed.
func dialCounting(received *atomic.Int64, config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		plain, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := &counted{plain, received}
		if config == nil {
			return conn, nil
		}
		secured := tls.Client(conn, forServer(config, address))
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secured, nil
	}
}

// forServer is the configuration for one server, whose name its certificate must hold.
func forServer(config *tls.Config, address string) *tls.Config {
	if config.ServerName != "" {
		return config
	}
	config = config.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil { // dialling it would have failed
		config.ServerName = host
	}
	return config
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
