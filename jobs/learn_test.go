package jobs_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"payrun/epay"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// gatewayOf puts the adapter in front of a sandbox of its own.
func gatewayOf(t *testing.T, settings sandbox.Config, signature epay.ReplySignature) jobs.Gateway {
	t.Helper()
	s, err := sandbox.New(settings)
	fatal(t, err)
	t.Cleanup(func() { fatal(t, s.Close(context.Background())) })
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	client, err := epay.New(epay.Config{BaseURL: front.URL + sandbox.BasePath, Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, ReplySignature: signature})
	fatal(t, err)
	t.Cleanup(client.Close)
	return jobs.NewEPAY(client, "")
}

func TestLearnIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	g := gatewayOf(t, sandbox.Config{}, "")
	first, _, err := jobs.Learn(t.Context(), g)
	fatal(t, err)
	again, _, err := jobs.Learn(t.Context(), g)
	fatal(t, err)
	if first != again || first.HTTPStatus != 200 || first.Code == "" || first.Code == "1" || first.Message == "" {
		t.Errorf("learned %+v, then %+v", first, again)
	}
}

func TestNothingIsLearnedFromAnAnswerThatProvesNothing(t *testing.T) {
	t.Parallel()
	query := func(f sandbox.Fault) sandbox.Config {
		f.At = sandbox.Query
		return sandbox.Config{Faults: sandbox.Faults{Rules: []sandbox.Fault{f}}}
	}
	for name, c := range map[string]struct {
		settings  sandbox.Config
		signature epay.ReplySignature
	}{
		"another code each time":  {sandbox.Config{RandomCodes: true}, ""},
		"no code at all":          {sandbox.Config{NotFound: sandbox.NotFoundNull}, ""},
		"turned away":             {query(sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 403, Body: `{"sign":"","epayAccount":"","code":4,"message":"no"}`}), ""},
		"unsigned":                {sandbox.Config{ReplySigning: sandbox.SignNever}, epay.Required},
		"wrongly signed":          {query(sandbox.Fault{Kind: sandbox.FaultBadSign}), ""},
		"out of order":            {query(sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 503}), ""},
		"a page":                  {query(sandbox.Fault{Kind: sandbox.FaultHTML}), ""},
		"cut off":                 {query(sandbox.Fault{Kind: sandbox.FaultTruncated}), ""},
		"differs the second time": {query(sandbox.Fault{Kind: sandbox.FaultErrorCode, Code: 4711, Times: 1}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shape, _, err := jobs.Learn(t.Context(), gatewayOf(t, c.settings, c.signature))
			if !errors.Is(err, jobs.ErrUnlearnable) {
				t.Errorf("learned %+v, %v", shape, err)
			}
		})
	}
}

// knowing claims to have whatever it is asked about.
type knowing struct {
	jobs.Gateway
	asked []string
}

func (g *knowing) Lookup(_ context.Context, o jobs.Order) jobs.Reply {
	g.asked = append(g.asked, o.Number)
	return jobs.Reply{Verdict: jobs.Known}
}

func TestAGatewayThatKnowsEverythingIsRefused(t *testing.T) {
	t.Parallel()
	g := &knowing{}
	if _, _, err := jobs.Learn(t.Context(), g); !errors.Is(err, jobs.ErrClaimsToKnow) {
		t.Errorf("%v", err)
	}
	if _, _, err := jobs.Learn(t.Context(), g); !errors.Is(err, jobs.ErrClaimsToKnow) {
		t.Errorf("%v", err)
	}
	if len(g.asked) != 2 || g.asked[0] == g.asked[1] {
		t.Errorf("asked about %q", g.asked)
	}
	for _, number := range g.asked {
		// No payout is number 0 of its batch.
		if len(number) != 24 || !strings.HasSuffix(number, "00000000") {
			t.Errorf("a payout could have the number %s", number)
		}
	}
}

// An answer that repeats the order number has one shape for all numbers.
func TestAShapeIsWithoutTheOrderNumber(t *testing.T) {
	t.Parallel()
	one := ledger.Evidence{HTTPStatus: 404, Code: "7", Message: "no order N1 here: N1"}
	two := ledger.Evidence{HTTPStatus: 404, Code: "7", Message: "no order N2 here: N2"}
	if one.Shape("N1") != two.Shape("N2") {
		t.Errorf("%v and %v", one.Shape("N1"), two.Shape("N2"))
	}
	for _, other := range []ledger.Evidence{{HTTPStatus: 200, Code: "7", Message: one.Message}, {HTTPStatus: 404, Code: "8", Message: one.Message}, {HTTPStatus: 404, Code: "7", Message: "no"}} {
		if other.Shape("N1") == one.Shape("N1") {
			t.Errorf("%v is taken for %v", other, one)
		}
	}
}
