package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

// Image is the Kafka image that kind container runs: version and layout, as in image/build.sh.
const Image = "archbench/kafka:4.1.1-r2"

// kafkaVersion is that of the image.
const kafkaVersion = "4.1.1"

// Options say which broker to start.
type Options struct {
	Kind      string   // "" is auto
	Bootstrap []string // for external
	Dir       string   // where local and embedded brokers keep their data while they run; "" is the temporary directory
	CPUs      []int    // processors for the broker; nil: all
	// Embedded is the command that runs the embedded broker in a process of its
	// own; the data directory and the address are appended to it.
	Embedded []string
	Client   kafkalog.Config // credentials for external; Bootstrap is filled in
	Guard    *Guard          // kinds container and local: a second listener, for tests; nil: none
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
	// Guarded is the address of the listener that Options.Guard asked for, or empty.
	Guarded() string
	// Kill ends the broker as kill -9 would; its data stay.
	Kill(ctx context.Context) error
	// Restart starts it again on the same port with the same data.
	Restart(ctx context.Context) error
	// Close ends it and removes what it left; a second call does nothing.
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
	log, err := kafkalog.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := log.Close(); err != nil {
		return nil, err
	}
	return external{o.Bootstrap}, nil
}

type external struct{ bootstrap []string }

func (e external) Info() Info          { return Info{Kind: External, Product: "Kafka protocol, external"} }
func (e external) Bootstrap() []string { return e.bootstrap }
func (e external) Guarded() string     { return "" }
func (e external) Kill(context.Context) error {
	return errors.New("an external broker is not ours to kill")
}
func (e external) Restart(context.Context) error {
	return errors.New("an external broker is not ours to restart")
}
func (e external) Close() error { return nil }

// starting is how long a broker may take to answer.
const starting = 60 * time.Second

// answers returns when a broker answers metadata requests, or with an error when
// the patience is over or ended says that the broker is no more. Kafka logs
// nothing to wait for.
func answers(ctx context.Context, c kafkalog.Config, patience time.Duration, ended func(context.Context) error) error {
	given := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if err := ended(ctx); err != nil && ctx.Err() == nil {
			return err
		}
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
			if given.Err() != nil {
				return given.Err()
			}
			return fmt.Errorf("no Kafka broker answered at %s within %v", strings.Join(c.Bootstrap, ","), patience)
		}
	}
}

// firstPort is the lowest port that a broker gets.
const firstPort = 15_000

// freePorts finds n free loopback ports below those that the kernel gives to
// outgoing connections: a client that tries to reach a killed broker could
// otherwise be given the broker's own port, and keep it from coming back.
func freePorts(n int) ([]int, error) {
	end := firstOutgoing()
	if end <= firstPort+1000 {
		return nil, fmt.Errorf("find a free port: the kernel gives out ports from %d on, and the broker's would be from %d to there", end, firstPort)
	}
	var ports []int
	var errs []error
	for range 100 {
		port := firstPort + rand.IntN(end-firstPort)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", errors.Join(errs...))
}

// firstOutgoing is the lowest port that the kernel picks for outgoing connections.
func firstOutgoing() int {
	const usual = 32_768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		return usual
	}
	return first
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
