package serving

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	name, err := view.ParseName(r.PathValue("view"))
	if err != nil {
		refuse(w, http.StatusNotFound, "%v", err)
		return
	}
	values, err := url.ParseQuery(r.URL.RawQuery) // URL.Query would drop what it cannot read
	if err != nil {
		refuse(w, http.StatusBadRequest, "the parameters cannot be read: %v", err)
		return
	}
	q, err := ParseQuery(name, values)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	began := time.Now()
	a, err := s.a.Answer(r.Context(), q)
	if err != nil {
		s.metrics.failed(name)
		refuse(w, http.StatusInternalServerError, "%s cannot be answered: %v", name, err)
		return
	}
	s.metrics.answered(name, time.Since(began))
	if strings.Contains(r.Header.Get("Accept"), "text/csv") {
		writeCSV(w, a)
		return
	}
	body := appendAnswer(nil, a)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // a client that went away is no error of ours
}

// ParseQuery reads from, to, last and limit; anything else is an error.
func ParseQuery(name view.Name, values url.Values) (view.Query, error) {
	q := view.Query{View: name}
	for key, vs := range values {
		switch key {
		case "from", "to", "last", "limit":
		default:
			return q, fmt.Errorf("unknown parameter %q: the parameters are from, to, last and limit", key)
		}
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
		default:
			if n < 1 || n > 1<<31 {
				return q, fmt.Errorf("parameter %s is %d: it must be between 1 and %d", key, n, 1<<31)
			}
			if key == "last" {
				q.Last = int(n)
			} else {
				q.Limit = int(n)
			}
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
