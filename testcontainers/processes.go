package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"archbench/common/child"
	"archbench/common/eventlog/kafkalog"
)

// processBroker is a broker that runs as a child process.
type processBroker struct {
	info    Info
	address string
	cpus    []int
	command func() *exec.Cmd
	dir     string // removed on Close, if set
	process *child.Child
}

func (b *processBroker) Info() Info          { return b.info }
func (b *processBroker) Bootstrap() []string { return []string{b.address} }

// Kill implements Broker.
func (b *processBroker) Kill(context.Context) error { return b.process.Kill() }

// Restart implements Broker.
func (b *processBroker) Restart(ctx context.Context) error {
	var err error
	if b.process, err = child.Start(b.command(), b.cpus); err != nil {
		return err
	}
	answered := make(chan error, 1)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		answered <- answers(wait, kafkalog.Config{Bootstrap: b.Bootstrap()}, 60*time.Second)
	}()
	select {
	case err = <-answered:
	case <-b.process.Done():
		err = fmt.Errorf("the broker ended before it answered: %w", b.process.Err())
	}
	if err != nil {
		return errors.Join(err, b.process.Kill())
	}
	return nil
}

// Close implements Broker.
func (b *processBroker) Close() error {
	err := b.process.Kill() // its data go with it: no need to end it gently
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func begin(ctx context.Context, b *processBroker) (Broker, error) {
	if err := b.Restart(ctx); err != nil {
		if b.dir != "" {
			err = errors.Join(err, os.RemoveAll(b.dir))
		}
		return nil, err
	}
	return b, nil
}

// workDir is where a broker keeps its data: below o.Dir, or temporary.
func workDir(o Options) (string, error) {
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return "", fmt.Errorf("make the broker's directory: %w", err)
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "archbench-broker-*")
	if err != nil {
		return "", fmt.Errorf("make the broker's directory: %w", err)
	}
	return dir, nil
}

// jarsDir is where local jars are: ARCHBENCH_KAFKA_HOME/libs, or the cache that make kafka-jars fills.
func jarsDir() (string, error) {
	dir := filepath.Join(root(), ".cache", "image", "jars")
	if home := os.Getenv("ARCHBENCH_KAFKA_HOME"); home != "" {
		dir = filepath.Join(home, "libs")
	}
	if found, err := filepath.Glob(filepath.Join(dir, "kafka_2.13-*.jar")); err != nil || len(found) == 0 {
		return "", fmt.Errorf("no Kafka jars in %s: run make kafka-jars, or set ARCHBENCH_KAFKA_HOME", dir)
	}
	return dir, nil
}

// startLocal runs Kafka's jars under the Java that is installed.
func startLocal(ctx context.Context, o Options) (Broker, error) {
	jars, err := jarsDir()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("java"); err != nil {
		return nil, errors.New("no Java is installed (Kafka needs version 17 or later)")
	}
	script := filepath.Join(root(), "testcontainers", "image", "start.sh")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("the start script is not there: %w", err)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := workDir(o)
	if err != nil {
		return nil, err
	}
	return begin(ctx, &processBroker{
		info: Info{Kind: Local, Product: "Apache Kafka", Version: kafkaVersion}, address: loopback(ports[0]), cpus: o.CPUs, dir: dir,
		command: func() *exec.Cmd {
			c := exec.Command("/bin/sh", script)
			c.Env = append(os.Environ(), "KAFKA_JARS="+jars, "KAFKA_DATA="+dir, "KAFKA_PORT="+strconv.Itoa(ports[0]), "KAFKA_CONTROLLER_PORT="+strconv.Itoa(ports[1]))
			return c
		},
	})
}

// startEmbedded runs the in-memory broker in a process of its own.
func startEmbedded(ctx context.Context, o Options) (Broker, error) {
	if len(o.Embedded) == 0 {
		return nil, errors.New("the embedded broker needs the program that runs it")
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := workDir(o)
	if err != nil {
		return nil, err
	}
	address := loopback(ports[0])
	return begin(ctx, &processBroker{
		info: Info{Kind: Embedded, Product: "franz-go kfake, not Apache Kafka"}, address: address, cpus: o.CPUs, dir: dir,
		command: func() *exec.Cmd {
			return exec.Command(o.Embedded[0], append(o.Embedded[1:len(o.Embedded):len(o.Embedded)], dir, address)...)
		},
	})
}

// ServeEmbedded runs the embedded broker at an address, with its data in dir,
// until the context ends. It is the body of the process that kind embedded starts.
func ServeEmbedded(ctx context.Context, dir, address string) error {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address of the embedded broker: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("port of the embedded broker: %w", err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	<-ctx.Done()
	cluster.Close()
	return nil
}
