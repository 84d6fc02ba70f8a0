package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"archbench/common/child"
	"archbench/common/eventlog/kafkalog"
)

// processBroker is a broker that runs as a child process.
type processBroker struct {
	info    Info
	address string
	guarded string
	cpus    []int
	command func() *exec.Cmd
	dir     string // holds data and output; removed on Close
	process *child.Child
}

func (b *processBroker) Info() Info          { return b.info }
func (b *processBroker) Bootstrap() []string { return []string{b.address} }
func (b *processBroker) Guarded() string     { return b.guarded }

// Kill implements Broker.
func (b *processBroker) Kill(context.Context) error { return b.process.Kill() }

// Restart implements Broker.
func (b *processBroker) Restart(ctx context.Context) error {
	output, err := os.OpenFile(filepath.Join(b.dir, "output.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the broker's output: %w", err)
	}
	defer output.Close() // the child has its own
	command := b.command()
	command.Stdout, command.Stderr = output, output
	if b.process, err = child.Start(command, b.cpus); err != nil {
		return err
	}
	process := b.process
	err = answers(ctx, kafkalog.Config{Bootstrap: b.Bootstrap()}, starting, func(context.Context) error {
		select {
		case <-process.Done():
			return fmt.Errorf("the broker ended before it answered (%w)", process.Err())
		default:
			return nil
		}
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%w%s", err, lastLines(output.Name())), b.process.Kill())
	}
	return nil
}

// lastLines is the end of what a broker said, for an error: the cause stands there.
func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("; what it said cannot be read: %v", err)
	}
	return quoteEnd(string(text))
}

func quoteEnd(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] == "" {
		return "; it said nothing"
	}
	return "; it said: " + strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// Close implements Broker.
func (b *processBroker) Close() error {
	return errors.Join(b.process.Kill(), os.RemoveAll(b.dir)) // its data go with it: no need to end it gently
}

func begin(ctx context.Context, b *processBroker) (Broker, error) {
	if err := b.Restart(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return b, nil
}

// jarsDir is where local jars are: ARCHBENCH_KAFKA_HOME/libs, or the cache that make kafka-jars fills.
func jarsDir() (dir, version string, err error) {
	dir = filepath.Join(root(), ".cache", "image", "jars")
	if home := os.Getenv("ARCHBENCH_KAFKA_HOME"); home != "" {
		dir = filepath.Join(home, "libs")
	}
	found, err := filepath.Glob(filepath.Join(dir, "kafka_2.13-*.jar"))
	if err != nil || len(found) == 0 {
		return "", "", fmt.Errorf("no Kafka jars in %s: run make kafka-jars, or set ARCHBENCH_KAFKA_HOME", dir)
	}
	version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "kafka_2.13-"), ".jar")
	return dir, version, nil
}

// oldestJava is the first version that runs Kafka 4.
const oldestJava = 17

var javaVersion = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// checkJava fails if there is no Java, or one that is too old for Kafka.
func checkJava(ctx context.Context) error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("no Java is installed (Kafka needs version %d or later)", oldestJava)
	}
	said, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("java -version fails: %w%s", err, quoteEnd(string(said)))
	}
	found := javaVersion.FindSubmatch(said)
	if found == nil {
		return fmt.Errorf("java -version does not say which version it is%s", quoteEnd(string(said)))
	}
	if version, err := strconv.Atoi(string(found[1])); err != nil || version < oldestJava {
		return fmt.Errorf("the Java that is installed has version %s, Kafka needs %d or later", found[1], oldestJava)
	}
	return nil
}

// startLocal runs Kafka's jars under the Java that is installed.
func startLocal(ctx context.Context, o Options) (Broker, error) {
	n, err := single(o)
	if err != nil {
		return nil, err
	}
	return startLocalNode(ctx, o, n)
}

func startLocalNode(ctx context.Context, o Options, n node) (Broker, error) {
	jars, version, err := jarsDir()
	if err != nil {
		return nil, err
	}
	if err := checkJava(ctx); err != nil {
		return nil, err
	}
	dir, err := workDir(o)
	if err != nil {
		return nil, err
	}
	return begin(ctx, &processBroker{
		info: Info{Kind: Local, Product: "Apache Kafka", Version: version}, address: n.address(), guarded: n.guarded(), cpus: o.CPUs, dir: dir,
		command: func() *exec.Cmd {
			c := exec.Command("/bin/sh", "-c", startScript)
			c.Env = append(os.Environ(), "KAFKA_JARS="+jars, "KAFKA_DATA="+dir)
			for key, value := range n.environment() {
				c.Env = append(c.Env, key+"="+value)
			}
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
		info: Info{Kind: Embedded, Product: "franz-go kfake, not Apache Kafka", Version: kfakeVersion()}, address: address, cpus: o.CPUs, dir: dir,
		command: func() *exec.Cmd {
			return exec.Command(o.Embedded[0], append(o.Embedded[1:len(o.Embedded):len(o.Embedded)], dir, address)...)
		},
	})
}

// kfakeVersion is the version of the module that this program was built with.
func kfakeVersion() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range build.Deps {
		if m.Path == "github.com/twmb/franz-go/pkg/kfake" {
			return m.Version
		}
	}
	return ""
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
