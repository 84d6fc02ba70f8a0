package serving_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/serving"
	"archbench/common/view"
)

// fake answers every view with two rows, one of them hard to encode.
type fake struct {
	announcer *coverage.Announcer
	outcome   architecture.Outcome
	err       error
	ready     bool
	asked     view.Query
}

func (f *fake) rows(v view.Name) []view.Row {
	rows := []view.Row{{Num: [view.MaxNums]int64{1, -2, 3}}, {Num: [view.MaxNums]int64{9007199254740993, 2, 3}}}
	for _, c := range v.Schema().Columns {
		if c.Text {
			rows[0].Text, rows[1].Text = "a,\"b\"\nc", "Österreich"
		}
	}
	nums := len(v.Schema().Columns)
	for i := range rows {
		for n := nums; n < view.MaxNums; n++ {
			rows[i].Num[n] = 0
		}
	}
	if nums == 3 && v.Schema().Columns[1].Text {
		rows[0].Num[2], rows[1].Num[2] = 0, 0
	}
	return rows
}

func (f *fake) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (f *fake) Answer(_ context.Context, q view.Query) (architecture.Answer, error) {
	f.asked = q
	at := f.announcer.Latest().Coverage
	return architecture.Answer{View: q.View, Rules: 2, Coverage: at, Seam: &at, Rows: f.rows(q.View)}, f.err
}
func (f *fake) Coverage() *coverage.Announcer { return f.announcer }
func (f *fake) Reprocess(context.Context, view.Rules) (architecture.Outcome, error) {
	return f.outcome, f.err
}
func (f *fake) Status() architecture.Status {
	return architecture.Status{Architecture: "fake", Ready: f.ready, Lag: 7, State: map[string]int64{"rows": 5}}
}

func serve(t *testing.T, token string) (*fake, *serving.Client, *httptest.Server) {
	t.Helper()
	f := &fake{announcer: coverage.NewAnnouncer()}
	f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{1, 2}, Customers: coverage.Vector{3, 4}}, 1)
	s, err := serving.NewServer(f, "127.0.0.1:0", token, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	c := serving.NewClient(h.URL, token)
	t.Cleanup(c.Close)
	return f, c, h
}

func TestAnswersSurviveTheWire(t *testing.T) {
	f, c, _ := serve(t, "secret")
	for _, v := range view.Names() {
		from, to := int64(-5), int64(7)
		q := view.Query{View: v, From: &from, To: &to, Last: 3, Limit: 4}
		body, err := c.AnswerBody(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(q, f.asked); d != "" {
			t.Errorf("%s: the question changed: %s", v, d)
		}
		a, err := serving.ParseAnswer(body)
		if err != nil {
			t.Fatal(err)
		}
		at := f.announcer.Latest().Coverage
		if d := cmp.Diff(architecture.Answer{View: v, Rules: 2, Coverage: at, Seam: &at, Rows: f.rows(v)}, a); d != "" {
			t.Errorf("%s: %s", v, d)
		}
		if h, err := serving.ParseAnswerHead(body); err != nil || !h.Coverage.Equal(at) || h.Rules != 2 {
			t.Errorf("%s: head %+v %v", v, h, err)
		}
		var b bytes.Buffer
		got, rules, err := c.CopyCSV(t.Context(), v, &b)
		if err != nil || rules != 2 || !got.Equal(at) {
			t.Fatalf("%s as CSV: %v %d %v", v, got, rules, err)
		}
		rows, err := v.Schema().ReadCSV(&b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(f.rows(v), rows); d != "" {
			t.Errorf("%s as CSV: %s", v, d)
		}
	}
}

func TestCoverageStream(t *testing.T) {
	f, c, _ := serve(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := make(chan serving.Announced)
	go func() {
		defer close(got)
		c.Listen(ctx, func(a serving.Announced) {
			select {
			case got <- a:
			case <-ctx.Done():
			}
		})
	}()
	if a := <-got; a.Coverage.Sum() != 10 || a.Rules != 1 {
		t.Errorf("first %+v", a)
	}
	f.announcer.Announce(coverage.Coverage{Orders: coverage.Vector{2, 2}, Customers: coverage.Vector{3, 4}}, 2)
	if a := <-got; a.Coverage.Sum() != 11 || a.Rules != 2 {
		t.Errorf("second %+v", a)
	}
	if at, rules, err := c.Coverage(ctx); err != nil || at.Sum() != 11 || rules != 2 {
		t.Errorf("coverage %v %d %v", at, rules, err)
	}
}

func TestReprocessCodes(t *testing.T) {
	f, c, h := serve(t, "")
	for _, want := range []architecture.Outcome{architecture.Started, architecture.Served, architecture.Busy} {
		f.outcome = want
		if got, err := c.Reprocess(t.Context(), 2); got != want || err != nil {
			t.Errorf("%d became %d, %v", want, got, err)
		}
	}
	f.err = architecture.ErrHistoryGone
	if _, err := c.Reprocess(t.Context(), 2); !errors.Is(err, architecture.ErrHistoryGone) {
		t.Errorf("history gone became %v", err)
	}
	for path, code := range map[string]int{"/v1/rules/3": 404, "/v1/rules/x": 404, "/v1/rules/2": 422} {
		if got, _ := request(t, "POST", h.URL+path, nil); got != code {
			t.Errorf("POST %s: %d, want %d", path, got, code)
		}
	}
}

func request(t *testing.T, method, url string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestBadRequests(t *testing.T) {
	f, _, h := serve(t, "")
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/v1/views/sales":                           {404, "top_products"},
		"/v1/views/top_products?form=1":             {400, "from, to, last and limit"},
		"/v1/views/top_products?from=x":             {400, "integer"},
		"/v1/views/top_products?last=0":             {400, "between 1"},
		"/v1/views/top_products?limit=-1":           {400, "between 1"},
		"/v1/views/top_products?last=1&last=2":      {400, "2 times"},
		"/v1/views/top_products?from=1.5":           {400, "integer"},
		"/v1/views/top_products?to=9" + nines:       {400, "integer"},
		"/v1/nothing":                               {404, ""},
		"/readyz":                                   {503, "still reading"},
		"/healthz":                                  {200, "alive"},
		"/v1/views/top_products?from=1&to=2&last=3": {200, "columns"},
	} {
		if code, body := request(t, "GET", h.URL+path, nil); code != want.code || !strings.Contains(body, want.says) {
			t.Errorf("GET %s: %d %s, want %d with %q", path, code, body, want.code, want.says)
		}
	}
	if code, _ := request(t, "POST", h.URL+"/v1/views/top_products", nil); code != http.StatusMethodNotAllowed {
		t.Errorf("POST of a view: %d", code)
	}
	if code, body := request(t, "POST", h.URL+"/v1/control/pause", nil); code != 404 || !strings.Contains(body, "--allow-control") {
		t.Errorf("control: %d %s", code, body)
	}
	if code, _ := request(t, "GET", h.URL+"/healthz", func(r *http.Request) { r.Host = "evil.example" }); code != http.StatusMisdirectedRequest {
		t.Errorf("foreign host: %d", code)
	}
	f.ready = true
	if code, _ := request(t, "GET", h.URL+"/readyz", nil); code != 200 {
		t.Errorf("ready: %d", code)
	}
	if code, body := request(t, "GET", h.URL+"/metrics", nil); code != 200 || !strings.Contains(body, "archbench_lag_records 7") || !strings.Contains(body, `archbench_state_size{state="rows"} 5`) {
		t.Errorf("metrics: %d", code)
	}
}

const nines = "999999999999999999999"

func TestToken(t *testing.T) {
	_, _, h := serve(t, "secret")
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer secret": 200, "secret": 401} {
		if code, _ := request(t, "GET", h.URL+"/v1/status", func(r *http.Request) { r.Header.Set("Authorization", token) }); code != want {
			t.Errorf("token %q: %d, want %d", token, code, want)
		}
	}
	f := &fake{announcer: coverage.NewAnnouncer()}
	for _, listen := range []string{"0.0.0.0:80", "10.1.2.3:80", ":80", "example.org:80"} {
		if _, err := serving.NewServer(f, listen, "", nil); err == nil || !strings.Contains(err.Error(), serving.TokenVariable) {
			t.Errorf("%s without a token: %v", listen, err)
		}
		if _, err := serving.NewServer(f, listen, "secret", nil); err != nil {
			t.Errorf("%s with a token: %v", listen, err)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add("from=1&to=2&last=3&limit=4")
	f.Add("from=-9223372036854775808")
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := serving.ParseQuery(view.TopProducts, values)
		if err != nil {
			return
		}
		again, err := serving.ParseQuery(view.TopProducts, serving.EncodeQuery(q))
		if err != nil || cmp.Diff(q, again) != "" {
			t.Fatalf("%q: %+v became %+v, %v", raw, q, again, err)
		}
	})
}
