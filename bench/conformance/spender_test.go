package conformance

import (
	"math/rand/v2"
	"testing"
	"time"

	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/stream"
	"archbench/common/view"
)

// The sketch of policy bounded is held against exact counts, so however many spenders
// there are, it must be exact for them.
func TestSketchesCountSpendersExactly(t *testing.T) {
	w := &world{e: &env{Reporter: t}, maker: oracletest.NewMaker(rand.New(rand.NewPCG(1, 1)))}
	params, query := view.DefaultParams(), view.Query{View: view.DistinctCustomers}
	params.Distinct = 10 * 365 * 24 * time.Hour // one window for all
	profiles := stream.NewProfiles()
	state := stream.NewBoundedState(params, view.EveryLine, profiles)
	var sent []oracletest.Record
	for range 500 {
		r := w.spender()
		sent = append(sent, r)
		var l event.OrderLine
		if err := event.NewDecoder().Order(r.Value, &l); err != nil {
			t.Fatal(err)
		}
		state.AddLine(&l)
	}
	h := oracletest.History(oracletest.Place(sent, 1), 1)
	want, err := h.Answer(h.End(), view.EveryLine, params, query)
	if err != nil {
		t.Fatal(err)
	}
	if d := view.Diff(query.View.Schema(), stream.Finish(params, query, state.Cut(query, nil)), want); d.Any() {
		t.Errorf("%+v", d)
	}
}
