package serving

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

// TokenVariable names the environment variable with the bearer token.
const TokenVariable = "ARCHBENCH_TOKEN"

// Control carries out what POST /v1/control/{what} asks for. It returns false
// for what it does not know.
type Control func(ctx context.Context, what string, args url.Values) (known bool, err error)

// Server serves one architecture.
type Server struct {
	a       architecture.Architecture
	metrics *metrics
	token   string
	hosts   []string
	control Control
}

// NewServer returns the handler for an architecture that listens at an address.
// An empty token demands none, which only a loopback address may do; control is
// nil unless it is allowed.
func NewServer(a architecture.Architecture, listen, token string, control Control) (*Server, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", listen, err)
	}
	s := &Server{a: a, metrics: newMetrics(a), token: token, hosts: []string{"127.0.0.1", "::1", "localhost"}, control: control}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		if token == "" {
			return nil, fmt.Errorf("refusing to listen at %s: an address other than the loopback needs a token in %s", listen, TokenVariable)
		}
		s.hosts = nil // behind a name that is not known here; the token guards
	}
	return s, nil
}

// Serve serves on the listener until the context ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(end)
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return <-stopped
}

// Handler returns the contract's calls, guarded.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/views/{view}", s.answer)
	mux.HandleFunc("GET /v1/coverage", s.coverage)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.a.Status()) })
	mux.HandleFunc("POST /v1/rules/{n}", s.rules)
	mux.HandleFunc("POST /v1/control/{what}", s.controls)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", s.ready)
	return s.guard(mux)
}

// guard checks host and token and bounds the body.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		switch {
		case s.hosts != nil && !slices.Contains(s.hosts, strings.Trim(host, "[]")):
			refuse(w, http.StatusMisdirectedRequest, "host %q is not served here", r.Host)
		case s.token != "" && !authorized(r, s.token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "a bearer token is needed")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			next.ServeHTTP(w, r)
		}
	})
}

func authorized(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.a.Status().Ready {
		refuse(w, http.StatusServiceUnavailable, "still reading up to the log's end as it was at the start")
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	name, err := view.ParseName(r.PathValue("view"))
	if err != nil {
		refuse(w, http.StatusNotFound, "%v", err)
		return
	}
	q, err := ParseQuery(name, r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	began := time.Now()
	a, err := s.a.Answer(r.Context(), q)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%s cannot be answered: %v", name, err)
		return
	}
	s.metrics.answered(name, time.Since(began))
	if strings.Contains(r.Header.Get("Accept"), "text/csv") {
		writeCSV(w, a)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(appendAnswer(nil, a)) // a client that went away is no error of ours
}

// ParseQuery reads from, to, last and limit; anything else is an error.
func ParseQuery(name view.Name, values url.Values) (view.Query, error) {
	q := view.Query{View: name}
	for key, vs := range values {
		if len(vs) != 1 {
			return q, fmt.Errorf("parameter %s is given %d times", key, len(vs))
		}
		n, err := strconv.ParseInt(vs[0], 10, 64)
		if err != nil {
			return q, fmt.Errorf("parameter %s is %q: it must be an integer", key, vs[0])
		}
		switch key {
		case "from":
			q.From = &n
		case "to":
			q.To = &n
		case "last", "limit":
			if n < 1 || n > 1<<31 {
				return q, fmt.Errorf("parameter %s is %d: it must be between 1 and %d", key, n, 1<<31)
			}
			if key == "last" {
				q.Last = int(n)
			} else {
				q.Limit = int(n)
			}
		default:
			return q, fmt.Errorf("unknown parameter %q: the parameters are from, to, last and limit", key)
		}
	}
	return q, nil
}

// EncodeQuery is the inverse of ParseQuery.
func EncodeQuery(q view.Query) url.Values {
	v := url.Values{}
	if q.From != nil {
		v.Set("from", strconv.FormatInt(*q.From, 10))
	}
	if q.To != nil {
		v.Set("to", strconv.FormatInt(*q.To, 10))
	}
	if q.Last > 0 {
		v.Set("last", strconv.Itoa(q.Last))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// head is an answer apart from its rows.
type head struct {
	View     view.Name          `json:"view"`
	Rules    view.Rules         `json:"rules"`
	Coverage coverage.Coverage  `json:"coverage"`
	Seam     *coverage.Coverage `json:"seam,omitempty"`
	Columns  []string           `json:"columns"`
}

func appendAnswer(dst []byte, a architecture.Answer) []byte {
	schema := a.View.Schema()
	h, _ := json.Marshal(head{a.View, a.Rules, a.Coverage, a.Seam, schema.Header()}) // numbers and texts always marshal
	dst = append(append(dst, h[:len(h)-1]...), `,"rows":[`...)
	for i := range a.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = schema.AppendJSON(dst, &a.Rows[i])
	}
	return append(dst, "]}\n"...)
}

// Headers of a CSV answer.
const (
	coverageHeader = "Archbench-Coverage"
	rulesHeader    = "Archbench-Rules"
	seamHeader     = "Archbench-Seam"
)

func writeCSV(w http.ResponseWriter, a architecture.Answer) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set(coverageHeader, a.Coverage.String())
	w.Header().Set(rulesHeader, strconv.Itoa(int(a.Rules)))
	if a.Seam != nil {
		w.Header().Set(seamHeader, a.Seam.String())
	}
	if err := a.View.Schema().WriteCSV(w, a.Rows); err != nil {
		return // the client went away
	}
}

// announcement is the coverage on the wire.
type announcement struct {
	coverage.Coverage
	Rules int `json:"rules"`
}

func (s *Server) coverage(w http.ResponseWriter, r *http.Request) {
	latest := s.a.Coverage().Latest()
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		writeJSON(w, http.StatusOK, announcement{latest.Coverage, latest.Rules})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for {
		body, err := json.Marshal(announcement{latest.Coverage, latest.Rules})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "event: coverage\ndata: %s\n\n", body); err != nil || out.Flush() != nil {
			return
		}
		select { // at most one event a ms; meanwhile only the latest is kept
		case <-time.After(time.Millisecond):
		case <-r.Context().Done():
			return
		}
		if latest, err = s.a.Coverage().Next(r.Context(), latest.Version); err != nil {
			return
		}
	}
}

func (s *Server) rules(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		refuse(w, http.StatusNotFound, "rules %q: want a number", r.PathValue("n"))
		return
	}
	rules, err := view.ParseRules(n)
	if err != nil {
		refuse(w, http.StatusNotFound, "%v", err)
		return
	}
	outcome, err := s.a.Reprocess(r.Context(), rules)
	answer := func(code int, what string) {
		writeJSON(w, code, struct {
			Rules  view.Rules `json:"rules"`
			Status string     `json:"status"`
		}{rules, what})
	}
	switch {
	case errors.Is(err, architecture.ErrHistoryGone):
		refuse(w, http.StatusUnprocessableEntity, "%v", err)
	case err != nil:
		refuse(w, http.StatusInternalServerError, "the reprocess could not begin: %v", err)
	case outcome == architecture.Started:
		answer(http.StatusAccepted, "started")
	case outcome == architecture.Busy:
		refuse(w, http.StatusConflict, "a reprocess is running already")
	default:
		answer(http.StatusOK, "served")
	}
}

func (s *Server) controls(w http.ResponseWriter, r *http.Request) {
	if s.control == nil {
		refuse(w, http.StatusNotFound, "control is not allowed: start the process with --allow-control")
		return
	}
	known, err := s.control(r.Context(), r.PathValue("what"), r.URL.Query())
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "unknown control %q", r.PathValue("what"))
	case err != nil:
		refuse(w, http.StatusBadRequest, "%v", err)
	default:
		writeJSON(w, http.StatusOK, struct {
			Done string `json:"done"`
		}{r.PathValue("what")})
	}
}

func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	writeJSON(w, code, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		return // the client went away
	}
}
