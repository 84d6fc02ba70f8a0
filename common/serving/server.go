package serving

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"archbench/common/architecture"
)

// TokenVariable names the environment variable with the bearer token.
const TokenVariable = "ARCHBENCH_TOKEN"

// Bounds of what one client can take.
const (
	headerPatience = 5 * time.Second
	readPatience   = 10 * time.Second
	idlePatience   = 2 * time.Minute
	// answerPatience bounds computing and sending one answer, the largest view
	// to the slowest reader; streams are bounded write by write.
	answerPatience   = 5 * time.Minute
	shutdownPatience = 5 * time.Second
	maxHeaderBytes   = 16 << 10
	maxBodyBytes     = 64 << 10
)

// Control carries out what POST /v1/control/{what} asks for. It returns false
// for what it does not know.
type Control func(ctx context.Context, what string, args url.Values) (known bool, err error)

// Controller is an architecture that takes orders of its own in demonstrations,
// such as to pause its batch layer.
type Controller interface {
	Control(ctx context.Context, what string, args url.Values) (known bool, err error)
}

// Server serves one architecture.
type Server struct {
	a       architecture.Architecture
	metrics *metrics
	token   string
	hosts   []string // nil: any
	control Control

	streams    context.Context // ends the coverage streams, which never end by themselves
	endStreams context.CancelFunc
}

// CheckListen refuses, with a sentence, an address that is none, and one that is
// not the loopback's without a token.
func CheckListen(listen, token string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("listen address %q: want HOST:PORT: %w", listen, err)
	}
	if !isLoopback(host) && token == "" {
		return fmt.Errorf("refusing to listen at %s: an address other than the loopback needs a token in %s", listen, TokenVariable)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// NewServer returns the handler for an architecture that listens at an address.
// An empty token demands none, which only a loopback address may do; control is
// nil unless it is allowed.
func NewServer(a architecture.Architecture, listen, token string, control Control) (*Server, error) {
	if err := CheckListen(listen, token); err != nil {
		return nil, err
	}
	s := &Server{a: a, metrics: newMetrics(a), token: token, hosts: hostsOf(listen), control: control}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	return s, nil
}

// hostsOf lists the names under which the address may be asked for, so that a
// page in a browser cannot reach it under a name of its own. An address of all
// interfaces is reached under names that are not known here; its token guards it.
func hostsOf(listen string) []string {
	host, _, _ := net.SplitHostPort(listen) // CheckListen has taken it apart already
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil
	}
	return []string{"127.0.0.1", "::1", "localhost", strings.ToLower(host)}
}

// Serve serves on the listener until the context ends; then it lets answers
// under way be sent and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerPatience, ReadTimeout: readPatience, WriteTimeout: answerPatience, IdleTimeout: idlePatience,
		MaxHeaderBytes: maxHeaderBytes,
		BaseContext:    func(net.Listener) context.Context { return requests },
	}
	server.RegisterOnShutdown(s.endStreams)
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(requests, shutdownPatience)
		defer cancel()
		err := server.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) { // whoever is not done by now is cut off
			cut()
			err = server.Close()
		}
		stopped <- err
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return <-stopped
}

// calls is what somebody who is lost is told.
const calls = "the calls are GET /v1/views/{view}, /v1/coverage, /v1/status, /metrics, /healthz, /readyz and POST /v1/rules/{n}, /v1/control/{what}"

// Handler returns the contract's calls, guarded.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, h http.HandlerFunc) { mux.HandleFunc(path, only(http.MethodGet, h)) }
	post := func(path string, h http.HandlerFunc) { mux.HandleFunc(path, only(http.MethodPost, h)) }
	get("/v1/views/{view}", s.answer)
	get("/v1/coverage", bare(s.coverage))
	get("/v1/status", bare(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.a.Status()) }))
	post("/v1/rules/{n}", bare(s.rules))
	post("/v1/control/{what}", s.controls)
	get("/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP)
	get("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	get("/readyz", s.ready)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "nothing is served at %s: %s", r.URL.Path, calls)
	})
	return s.guard(sameOrigin(mux))
}

// sameOrigin keeps pages of other origins from sending orders through a
// visitor's browser, which would reach the loopback with the right host name.
func sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "a page of another origin may not send this")
	}))
	return p.Handler(next)
}

// only refuses other methods than the one (and HEAD beside GET).
func only(method string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			h(w, r)
			return
		}
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, "%s is not possible at %s: use %s", r.Method, r.URL.Path, method)
	}
}

// bare refuses parameters where there are none.
func bare(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			refuse(w, http.StatusBadRequest, "%s takes no parameters", r.URL.Path)
			return
		}
		h(w, r)
	}
}

// guard checks host, token and the body's size.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.hosts != nil && !slices.Contains(s.hosts, hostName(r.Host)):
			refuse(w, http.StatusMisdirectedRequest, "host %q is not served here", r.Host)
		case s.token != "" && !authorized(r, s.token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "a bearer token is needed")
		case !fits(w, r):
			refuse(w, http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", maxBodyBytes)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostName is the host of a Host header, without port and brackets.
func hostName(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func authorized(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// fits reads the body away, which no call needs, up to its bound.
func fits(w http.ResponseWriter, r *http.Request) bool {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBodyBytes))
	return !errors.As(err, new(*http.MaxBytesError))
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.a.Status().Ready {
		refuse(w, http.StatusServiceUnavailable, "still reading up to the log's end as it was at the start")
		return
	}
	fmt.Fprintln(w, "ready")
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
