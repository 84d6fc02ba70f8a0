package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"archbench/common/eventlog/kafkalog"
)

// Kinds of broker.
const (
	Auto      = "auto"
	Container = "container"
	Local     = "local"
	Embedded  = "embedded"
	External  = "external"
)

// Image is the Kafka image that kind container runs.
const Image = "archbench/kafka:4.1.1"

// kafkaVersion is that of the image and the jars.
const kafkaVersion = "4.1.1"

// Options say which broker to start.
type Options struct {
	Kind      string   // "" is auto
	Bootstrap []string // for external
	Dir       string   // data of local and embedded brokers; emptied by the caller
	CPUs      []int    // processors for the broker; nil: all
	// Embedded is the command that runs the embedded broker in a process of its
	// own; the data directory and the address are appended to it.
	Embedded []string
	Client   kafkalog.Config // credentials for external; Bootstrap is filled in
	Logger   *slog.Logger
}

// Info says what a result's figures were measured on.
type Info struct {
	Kind    string // never auto
	Product string // Apache Kafka, or franz-go kfake
	Version string
	Image   string
	// Because says why auto passed over the kinds before this one.
	Because []string
}

// Real reports whether this is Apache Kafka (or an external cluster that says so).
func (i Info) Real() bool { return i.Kind != Embedded }

// Broker is a running broker.
type Broker interface {
	Info() Info
	Bootstrap() []string
	// Kill ends the broker as kill -9 would; its data stay.
	Kill(ctx context.Context) error
	// Restart starts it again on the same port with the same data.
	Restart(ctx context.Context) error
	// Close ends it and removes what it left.
	Close() error
}

// Start starts the broker that the options name and returns when it answers.
func Start(ctx context.Context, o Options) (Broker, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch o.Kind {
	case "", Auto:
		return startAuto(ctx, o)
	case Container:
		return startContainer(ctx, o)
	case Local:
		return startLocal(ctx, o)
	case Embedded:
		return startEmbedded(ctx, o)
	case External:
		return useExternal(ctx, o)
	}
	return nil, fmt.Errorf("unknown kind of broker %q: it may be auto, container, local, embedded or external", o.Kind)
}

// startAuto tries the kinds from the most real to the least.
func startAuto(ctx context.Context, o Options) (Broker, error) {
	var because []string
	for _, kind := range []struct {
		name  string
		start func(context.Context, Options) (Broker, error)
	}{{Container, startContainer}, {Local, startLocal}, {Embedded, startEmbedded}} {
		b, err := kind.start(ctx, o)
		if err == nil {
			return explained{b, because}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		because = append(because, kind.name+": "+err.Error())
	}
	return nil, fmt.Errorf("no kind of broker works: %s", strings.Join(because, "; "))
}

// explained adds to a broker's information why others were passed over.
type explained struct {
	Broker
	because []string
}

func (e explained) Info() Info {
	i := e.Broker.Info()
	i.Because = e.because
	return i
}

// useExternal connects to a cluster that is not ours.
func useExternal(ctx context.Context, o Options) (Broker, error) {
	if len(o.Bootstrap) == 0 {
		return nil, errors.New("--broker external needs --bootstrap HOST:PORT,…")
	}
	c := o.Client
	c.Bootstrap = o.Bootstrap
	if err := answers(ctx, c, 10*time.Second); err != nil {
		return nil, err
	}
	return external{o.Bootstrap}, nil
}

type external struct{ bootstrap []string }

func (e external) Info() Info          { return Info{Kind: External, Product: "Kafka protocol, external"} }
func (e external) Bootstrap() []string { return e.bootstrap }
func (e external) Kill(context.Context) error {
	return errors.New("an external broker is not ours to kill")
}
func (e external) Restart(context.Context) error {
	return errors.New("an external broker is not ours to restart")
}
func (e external) Close() error { return nil }

// answers returns when a broker answers metadata requests, or with the last
// error when the patience is over. Kafka logs nothing to wait for.
func answers(ctx context.Context, c kafkalog.Config, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		for _, address := range c.Bootstrap { // a port that refuses is quicker to find than a client's timeout
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
			if err == nil {
				conn.Close()
				log, err := kafkalog.Open(ctx, c)
				if err == nil {
					return log.Close()
				}
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no Kafka broker answered at %s within %v", strings.Join(c.Bootstrap, ","), patience)
		}
	}
}

// freePorts finds n free loopback ports. They stay free until somebody takes
// them, which between here and the broker's start is unlikely and shows as an error.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// root is the nearest folder upwards with the module's go.mod, where the cache is.
func root() string {
	wd, err := os.Getwd()
	if err != nil {
		return "."
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return wd
		}
	}
}
