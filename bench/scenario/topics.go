package scenario

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"archbench/common/eventlog"
)

// prefix begins the names of one topic set. Unless the plan names one, it differs
// from run to run.
func (r *run) prefix(name string) string {
	if r.Topics != "" {
		return r.Topics + "." + name
	}
	run := strings.Map(func(c rune) rune {
		if strings.ContainsRune(prefixCharacters, c) {
			return c
		}
		return '-'
	}, filepath.Base(r.Out))
	return run[:min(len(run), maxPrefix)] + "." + strconv.FormatInt(r.began.UnixMilli(), 36) + "." + name
}

// remove deletes topics that this run created. A cluster that does not allow it
// keeps them, which is said and spoils nothing.
func (r *run) remove(ctx context.Context, created []string) error {
	if len(created) == 0 {
		return nil
	}
	err := r.kafkalog.Delete(ctx, created...)
	if errors.Is(err, eventlog.ErrDenied) {
		r.say("the topics %s stay: %v", strings.Join(created, ", "), err)
		return nil
	}
	return err
}
