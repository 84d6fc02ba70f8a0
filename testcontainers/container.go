package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"archbench/common/eventlog/kafkalog"
)

// ownerLabel names the process that a container belongs to.
const ownerLabel = "archbench.owner"

// containerBroker is Kafka in a container on the host's network, so that the
// port chosen before the start is the port, before and after a restart.
type containerBroker struct {
	container testcontainers.Container
	docker    *testcontainers.DockerClient
	address   string
}

// startContainer runs the image. It neither pulls nor builds: make kafka-image does.
func startContainer(ctx context.Context, o Options) (Broker, error) {
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil { // its image cannot be had everywhere; the label and the sweep do its work
		return nil, fmt.Errorf("switch the reaper off: %w", err)
	}
	docker, err := daemon(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := docker.ImageInspect(ctx, Image); err != nil {
		return nil, errors.Join(fmt.Errorf("the image %s is not there: run make kafka-image", Image), docker.Close())
	}
	if err := sweep(ctx, docker); err != nil {
		o.Logger.Warn("containers of an earlier run may be left", "err", err)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	request := testcontainers.ContainerRequest{
		Image:  Image,
		Labels: map[string]string{ownerLabel: strconv.Itoa(os.Getpid())},
		Env:    map[string]string{"KAFKA_PORT": strconv.Itoa(ports[0]), "KAFKA_CONTROLLER_PORT": strconv.Itoa(ports[1])},
		HostConfigModifier: func(h *container.HostConfig) {
			h.NetworkMode = "host"
			h.CpusetCpus = list(o.CPUs)
		},
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{ContainerRequest: request, Started: true, Logger: silent{}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the container: %w", err), docker.Close())
	}
	b := &containerBroker{c, docker, loopback(ports[0])}
	if err := answers(ctx, kafkalog.Config{Bootstrap: b.Bootstrap()}, 60*time.Second); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

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
		pid, err := strconv.Atoi(c.Labels[ownerLabel])
		if err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue // its owner lives
		}
		if _, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			errs = append(errs, fmt.Errorf("remove container %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (b *containerBroker) Info() Info {
	return Info{Kind: Container, Product: "Apache Kafka", Version: kafkaVersion, Image: Image}
}

func (b *containerBroker) Bootstrap() []string { return []string{b.address} }

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
	return answers(ctx, kafkalog.Config{Bootstrap: b.Bootstrap()}, 60*time.Second)
}

// Close implements Broker.
func (b *containerBroker) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := b.docker.ContainerRemove(ctx, b.container.GetContainerID(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil {
		err = fmt.Errorf("remove the broker's container: %w", err)
	}
	return errors.Join(err, b.docker.Close())
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
