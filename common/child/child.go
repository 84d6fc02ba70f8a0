package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Child is a started process.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed
}

// Start starts cmd in a process group of its own, on the given processors (nil:
// all), to be killed by the kernel when this process ends.
func Start(cmd *exec.Cmd, cpus []int) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the thread that forked ends, and affinity is
		// inherited from it: so one thread forks, stays, and is not used again.
		runtime.LockOSThread()
		defer close(c.done)
		if err := onCPUs(cpus); err != nil {
			started <- err
			return
		}
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

func onCPUs(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("restrict to processors %v: %w", cpus, err)
	}
	return nil
}

// PID is the process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says how the process ended, once Done is closed; nil for exit code 0.
func (c *Child) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// ExitCode is the exit code once Done is closed, -1 for an end by signal.
func (c *Child) ExitCode() int {
	<-c.done
	return c.cmd.ProcessState.ExitCode()
}

// Kill ends the whole process group at once, as kill -9 does, and waits.
func (c *Child) Kill() error {
	err := syscall.Kill(-c.PID(), syscall.SIGKILL)
	<-c.done
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Stop asks the process to end and kills it when the patience is over.
func (c *Child) Stop(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("stop process %d: %w", c.PID(), err), c.Kill())
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("process %d did not end within %v and was killed", c.PID(), patience), c.Kill())
	}
	return c.Kill() // what it may have left in its group
}
