package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"archbench/common/coverage"
)

const (
	// leastBetween is the time between two coverage events.
	leastBetween = time.Millisecond
	// keepAlive is the silence after which a stream says that it lives.
	keepAlive = 15 * time.Second
	// writePatience is how long a stream waits for a listener that takes nothing.
	writePatience = 30 * time.Second
)

// announcement is the coverage on the wire.
type announcement struct {
	coverage.Coverage
	Rules int `json:"rules"`
}

func wire(a coverage.Announcement) announcement {
	out := announcement{a.Coverage, a.Rules}
	if out.Orders == nil { // nothing announced yet: an empty vector, not null
		out.Coverage = coverage.Zero(0)
	}
	return out
}

func (s *Server) coverage(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		writeJSON(w, http.StatusOK, wire(s.a.Coverage().Latest()))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	stream := &eventStream{w: w, out: http.NewResponseController(w)}
	var version uint64
	for {
		latest, err := s.next(ctx, version)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = stream.write(":\n\n") // a comment, in the stream's syntax
		case err != nil:
			return // the listener went away, or the server ends
		default:
			version = latest.Version
			err = stream.announce(wire(latest))
		}
		if err != nil {
			return // the listener went away, or takes nothing
		}
		select { // meanwhile only the latest is kept
		case <-time.After(leastBetween):
		case <-ctx.Done():
			return
		}
	}
}

// next waits for coverage newer than version, for as long as a stream may be silent.
func (s *Server) next(ctx context.Context, version uint64) (coverage.Announcement, error) {
	wait, cancel := context.WithTimeout(ctx, keepAlive)
	defer cancel()
	return s.a.Coverage().Next(wait, version)
}

// eventStream writes server-sent events.
type eventStream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

func (e *eventStream) announce(a announcement) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return e.write("event: coverage\ndata: %s\n\n", body)
}

// write sends at once. It moves the server's own deadline, which is for answers.
func (e *eventStream) write(format string, args ...any) error {
	if err := e.out.SetWriteDeadline(time.Now().Add(writePatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.out.Flush()
}
