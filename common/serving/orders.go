package serving

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"archbench/common/architecture"
	"archbench/common/view"
)

// rules answers POST /v1/rules/{n}.
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
	switch {
	case errors.Is(err, architecture.ErrHistoryGone):
		refuse(w, http.StatusUnprocessableEntity, "%v", err)
	case errors.Is(err, architecture.ErrEnded):
		refuse(w, http.StatusServiceUnavailable, "%v", err)
	case err != nil:
		refuse(w, http.StatusInternalServerError, "the reprocess could not begin: %v", err)
	case outcome == architecture.Busy:
		refuse(w, http.StatusConflict, "a reprocess is running already: GET /v1/status shows how far it is")
	case outcome == architecture.Started:
		accept(w, http.StatusAccepted, rules, "started", "a reprocess has begun; the rules served change when it has caught up, and GET /v1/status shows how far it is")
	default:
		accept(w, http.StatusOK, rules, "served", "these rules are served")
	}
}

func accept(w http.ResponseWriter, code int, rules view.Rules, status, message string) {
	writeJSON(w, code, struct {
		Rules   view.Rules `json:"rules"`
		Status  string     `json:"status"`
		Message string     `json:"message"`
	}{rules, status, message})
}

// controls answers POST /v1/control/{what}.
func (s *Server) controls(w http.ResponseWriter, r *http.Request) {
	if s.control == nil {
		refuse(w, http.StatusNotFound, "control is not allowed: start the process with --allow-control")
		return
	}
	args, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the parameters cannot be read: %v", err)
		return
	}
	known, err := s.control(r.Context(), r.PathValue("what"), args)
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
