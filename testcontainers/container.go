package broker

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"

	"archbench/common/eventlog/kafkalog"
)

// ownerLabel names the process that a container belongs to.
const ownerLabel = "archbench.broker.owner"

// startScript starts Kafka, in the container and on the machine itself. It comes
// from this program, so that the image holds nothing but Java and Kafka.
//
//go:embed image/start.sh
var startScript string

// containerBroker is Kafka in a container on the host's network, so that the
// port chosen before the start is the port, before and after a restart.
type containerBroker struct {
	container testcontainers.Container
	docker    *testcontainers.DockerClient
	node      node
	image     string
	closed    bool
}

// startContainer runs the image. It neither pulls nor builds: make kafka-image does.
func startContainer(ctx context.Context, o Options) (Broker, error) {
	n, err := single(o)
	if err != nil {
		return nil, err
	}
	return startContainerNode(ctx, o, n)
}

func startContainerNode(ctx context.Context, o Options, n node) (Broker, error) {
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil { // its image cannot be had everywhere; the label and the sweep do its work
		return nil, fmt.Errorf("switch the reaper off: %w", err)
	}
	docker, err := daemon(ctx)
	if err != nil {
		return nil, err
	}
	b, err := runContainer(ctx, docker, o, n)
	if err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return b, nil
}

func runContainer(ctx context.Context, docker *testcontainers.DockerClient, o Options, n node) (Broker, error) {
	image, err := docker.ImageInspect(ctx, Image)
	if err != nil {
		return nil, fmt.Errorf("the image %s is not there: run make kafka-image", Image)
	}
	if err := sweep(ctx, docker); err != nil {
		o.Logger.Warn("containers of an earlier run may be left", "err", err)
	}
	name, err := owner()
	if err != nil {
		return nil, err
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{ContainerRequest: request(o, name, n), Started: true, Logger: silent{}})
	if err != nil {
		err = fmt.Errorf("start the container: %w", err)
		if c != nil {
			err = errors.Join(err, remove(docker, c))
		}
		return nil, err
	}
	b := &containerBroker{container: c, docker: docker, node: n, image: fmt.Sprintf("%s@%s", Image, image.ID)}
	if err := b.answers(ctx); err != nil {
		return nil, errors.Join(err, remove(docker, c))
	}
	return b, nil
}

func request(o Options, owner string, n node) testcontainers.ContainerRequest {
	return testcontainers.ContainerRequest{
		Image:  Image,
		Labels: map[string]string{ownerLabel: owner},
		Env:    n.environment(),
		ConfigModifier: func(c *container.Config) {
			c.Entrypoint, c.Cmd, c.User = []string{"/bin/sh", "-c", startScript}, nil, "0"
		},
		HostConfigModifier: func(h *container.HostConfig) {
			h.NetworkMode = "host"
			h.CpusetCpus = list(o.CPUs)
		},
	}
}

// answers waits until the broker answers, and says what it said if it does not.
func (b *containerBroker) answers(ctx context.Context) error {
	err := answers(ctx, kafkalog.Config{Bootstrap: b.Bootstrap()}, starting, func(ctx context.Context) error {
		state, err := b.container.State(ctx)
		if err != nil {
			return fmt.Errorf("look at the container: %w", err)
		}
		if !state.Running {
			return fmt.Errorf("the container ended before it answered (exit code %d)", state.ExitCode)
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	logs, failed := b.container.Logs(ctx)
	if failed != nil {
		return errors.Join(err, fmt.Errorf("read the container's output: %w", failed))
	}
	defer logs.Close()
	text, failed := io.ReadAll(io.LimitReader(logs, 1<<20))
	return errors.Join(fmt.Errorf("%w%s", err, quoteEnd(string(text))), failed)
}

// quieten keeps the library from announcing the daemon. Its logger is one variable of
// the library's, and nodes of a cluster start at the same time.
var quieten = sync.OnceFunc(func() { log.SetDefault(silent{}) })

// daemon connects to the Docker daemon and fails soon if none answers.
func daemon(ctx context.Context) (docker *testcontainers.DockerClient, err error) {
	where := os.Getenv("DOCKER_HOST")
	if where == "" {
		where = "the usual places"
	}
	refused := func(why any) error { return fmt.Errorf("no Docker daemon answers at %s (%v)", where, why) }
	if socket, isUnix := strings.CutPrefix(where, "unix://"); isUnix { // the library falls back to other places without a word
		if _, err := os.Stat(socket); err != nil {
			return nil, refused(err)
		}
	}
	defer func() {
		if p := recover(); p != nil { // the library panics where it finds no daemon
			err = refused(p)
		}
	}()
	quieten()
	if docker, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return nil, refused(err)
	}
	answer, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := docker.Ping(answer, client.PingOptions{}); err != nil {
		return nil, errors.Join(refused(err), docker.Close())
	}
	return docker, nil
}

// sweep removes the containers of processes that are gone.
func sweep(ctx context.Context, docker *testcontainers.DockerClient) error {
	left, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", ownerLabel)})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, c := range left.Items {
		over, err := gone(c.Labels[ownerLabel])
		if err != nil {
			errs = append(errs, err)
		}
		if !over {
			continue
		}
		if _, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			errs = append(errs, fmt.Errorf("remove container %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (b *containerBroker) Info() Info {
	return Info{Kind: Container, Product: "Apache Kafka", Version: kafkaVersion, Image: b.image}
}

func (b *containerBroker) Bootstrap() []string { return []string{b.node.address()} }
func (b *containerBroker) Guarded() string     { return b.node.guarded() }

// Kill implements Broker.
func (b *containerBroker) Kill(ctx context.Context) error {
	if _, err := b.docker.ContainerKill(ctx, b.container.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return fmt.Errorf("kill the broker's container: %w", err)
	}
	return nil
}

// Restart implements Broker.
func (b *containerBroker) Restart(ctx context.Context) error {
	if err := b.container.Start(ctx); err != nil {
		return fmt.Errorf("start the broker's container again: %w", err)
	}
	return b.answers(ctx)
}

// Close implements Broker.
func (b *containerBroker) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	return errors.Join(remove(b.docker, b.container), b.docker.Close())
}

// remove ends a container, even when what it served has been cancelled.
func remove(docker *testcontainers.DockerClient, c testcontainers.Container) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := docker.ContainerRemove(ctx, c.GetContainerID(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return fmt.Errorf("remove the broker's container: %w", err)
	}
	return nil
}

func list(cpus []int) string {
	var s []string
	for _, c := range cpus {
		s = append(s, strconv.Itoa(c))
	}
	return strings.Join(s, ",")
}

// silent drops the library's chatter: progress is the harness's to show.
type silent struct{}

func (silent) Printf(string, ...any) {}
