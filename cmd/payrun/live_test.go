package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"payrun/internal/sandbox"
)

// live starts a gateway that the place takes for a live one, since it is
// configured by address, account and key.
func (p *place) live(settings sandbox.Config) *place {
	p.t.Helper()
	return p.at(p.gateway(settings).URL())
}

// sentOne is this place once a payout went to a live gateway with a fault, and
// its maker's token.
func (p *place) sentOne(fault sandbox.Fault) (live *place, maker string) {
	p.t.Helper()
	settings := sandbox.Demo()
	settings.Faults.Rules = []sandbox.Fault{fault}
	live = p.live(settings)
	admin, maker, checker := live.people()
	live.as(admin).must("funds", "add", "100.00", "USD", "--evidence", "x")
	live.as(maker).must("run", live.sheet(goodRows(1)...))
	live.as(checker).must("batch", "approve", "1")
	live.must("job", "run", "disburse").says("1 sent")
	return live, maker
}

// gateway starts a gateway of the test's own.
func (p *place) gateway(settings sandbox.Config) *sandbox.Server {
	p.t.Helper()
	server, err := sandbox.New(settings)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := server.Close(context.Background()); err != nil {
			p.t.Error(err)
		}
	})
	if err := server.Start("127.0.0.1:0"); err != nil {
		p.t.Fatal(err)
	}
	return server
}

func (p *place) at(url string) *place {
	return p.with("PAYRUN_GATEWAY_URL="+url, "PAYRUN_GATEWAY_ACCOUNT="+sandbox.DefaultAccount,
		"PAYRUN_GATEWAY_KEY="+sandbox.DefaultKey, "PAYRUN_TRACKING_ACCEPTED=200ms", "PAYRUN_TRACKING_IN_DOUBT=200ms")
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestLiveGatewayNeedsTwoPeople(t *testing.T) {
	t.Parallel()
	p := newPlace(t).live(sandbox.Demo())
	p.must("check").says("0 makers, 0 checkers: nobody can pay yet", "the gateway accepts ours", "no order was sent yet", "Ready.")
	sheet := p.sheet(goodRows(3)...)
	p.run("run", sheet).exits(exitRefused).complains("set PAYRUN_TOKEN or use --token-file")
	admin, maker, checker := p.people()
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "bank reference 4711")

	p.as(checker).run("run", sheet).exits(exitRefused)
	p.as(maker).must("run", sheet).says("Before money moves", "Batch 1 is submitted by mia", "Next, a checker other than mia: payrun batch approve 1")
	if p.states(1)["SUBMITTED"] != 3 {
		t.Errorf("states: %v", p.states(1))
	}
	p.as(checker).must("batch", "approve", "1")

	serving := p.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	eventually(t, "serve pays", func() bool { return p.states(1)["SUCCEEDED"] == 3 })
	p.as(maker).run("run", sheet).exits(exitRefused).complains("imported before, as batch 1", "payrun batch allow-repeat 2")
	p.must("check").says("is answered in full", "Ready.")
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)
	p.must("verify")

	var preflight preflightView
	again := p.sheet(goodRows(4)...)
	p.as(maker).run("run", again).exits(exitRefused).complains("3 of payee-paid-before", "payrun batch confirm")
	p.as(maker).must("batch", "discard", "3", "--reason", "with the confirmation at once")
	p.as(maker).run("run", "--confirm-warnings", again).exits(exitRefused).says("PAID TWICE? 3 of these 4 rows are in batch 1 already").complains("confirmed by kind or row")
	p.as(maker).must("batch", "discard", "4", "--reason", "another sheet")
	p.as(maker).must("run", "--json", "--confirm-warnings", p.sheet("N-1,Perfect Money,U555000907,7.25,USD,Somebody")).document(&preflight)
	if preflight.Batch.State != "SUBMITTED" || len(preflight.Funds) != 1 || !preflight.Funds[0].Enough {
		t.Errorf("pre-flight: %+v", preflight)
	}
}

// answering is a gateway that says the same to everybody.
func answering(t testing.TB, status int, contentType, body string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return "http://" + listener.Addr().String() + sandbox.BasePath
}

func TestGatewaysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	otherKey := sandbox.Demo()
	otherKey.Key = "another-key-altogether"
	badSign := sandbox.Demo()
	badSign.Faults = sandbox.Faults{Rules: []sandbox.Fault{{At: sandbox.Query, Kind: sandbox.FaultBadSign}, {At: sandbox.Limits, Kind: sandbox.FaultBadSign}}}
	html := func(p *place) *place { return p.at(answering(p.t, 200, "text/html", "<html>hello</html>")) }
	for name, test := range map[string]struct {
		place func(*place) *place
		want  []string
	}{
		"refuses the signature":  {func(p *place) *place { return p.live(otherKey) }, []string{"FAIL  signature", "check gateway.account, gateway.key", "allowed addresses"}},
		"nobody listens":         {func(p *place) *place { return p.at("http://127.0.0.1:1/capi/openapi/") }, []string{"FAIL  signature", "connection refused", "check gateway.url and that this machine reaches it"}},
		"is something else":      {html, []string{"FAIL  signature", "ending in /openapi/"}},
		"does not let us in":     {func(p *place) *place { return p.at(answering(p.t, 403, "text/html", "no")) }, []string{"FAIL  signature", "allowed addresses"}},
		"is down":                {func(p *place) *place { return p.at(answering(p.t, 503, "text/html", "no")) }, []string{"FAIL  signature", "try again later"}},
		"signs differently":      {func(p *place) *place { return p.live(badSign) }, []string{"FAIL  limits", "bad-signature", "gateway.separator"}},
		"has no field of answer": {func(p *place) *place { return p.at(answering(p.t, 200, "application/json", `{}`)) }, []string{"FAIL  signature", "lack fields"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := test.place(newPlace(t))
			p.run("check").exits(exitGateway).says(test.want...).complains("the check failed")
			_, maker, _ := p.people()
			p.as(maker).run("run", p.sheet(goodRows(1)...)).exits(exitGateway).complains("the gateway cannot be used")
			p.must("batch", "list").says("No batches yet")
			p.must("verify")
		})
	}
}

func TestAnswersThatLeaveEverythingInDoubtAreReported(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	base := p.live(sandbox.Demo())
	admin, maker, checker := base.people()
	base.as(admin).must("funds", "add", "100.00", "USD", "--evidence", "x")
	base.as(maker).must("run", base.sheet(goodRows(1)...))
	base.as(checker).must("batch", "approve", "1")
	base.must("job", "run", "disburse").says("1 sent")

	// The same gateway, but what it says about orders lacks the amount.
	url := ""
	for _, pair := range base.environ {
		if value, ok := strings.CutPrefix(pair, "PAYRUN_GATEWAY_URL="); ok {
			url = value
		}
	}
	omitting := base.at(omit(t, url, `"amount"`))
	omitting.run("check").exits(exitGateway).says("FAIL  answers", "which it has, cannot be believed", "payouts would stay in doubt", "lack fields that the manual promises")
}

// A payout that the gateway has otherwise than we ordered it is a case; it does
// not make the check fail.
func TestCheckAsksAboutNoDisputedOrder(t *testing.T) {
	t.Parallel()
	p, _ := newPlace(t).sentOne(sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultMismatch})
	eventually(t, "it is under review", func() bool {
		p.must("job", "run", "track")
		return p.states(1)["REVIEW"] == 1
	})
	p.must("check").says("no order was sent yet that could be looked up")
}

// omit stands between us and a gateway, and takes a member's name out of what
// the gateway answers to look-ups.
func omit(t *testing.T, gateway, member string) (url string) {
	t.Helper()
	host := strings.TrimSuffix(gateway, sandbox.BasePath)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, err := client.Post(host+r.URL.Path, r.Header.Get("Content-Type"), r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		text := string(body)
		if strings.HasSuffix(r.URL.Path, "queryTransaction") {
			text = unsigned(strings.Replace(text, member, `"other"`, 1))
		}
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		io.WriteString(w, text)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return "http://" + listener.Addr().String() + sandbox.BasePath
}

// unsigned empties the signature of an answer, as the manual prints it.
func unsigned(text string) string {
	start := strings.Index(text, `"sign":"`)
	if start < 0 {
		return text
	}
	start += len(`"sign":"`)
	return text[:start] + text[start+strings.IndexByte(text[start:], '"'):]
}

func TestListenerThatIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	newPlace(t, "PAYRUN_LISTEN="+listener.Addr().String()).run("serve").exits(exitUsage).complains("address already in use", "PAYRUN_LISTEN")
}

func TestSandboxAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	child := p.start("sandbox", "--listen", "127.0.0.1:0")
	_, rest, _ := strings.Cut(child.out.line(t, "PAYRUN_GATEWAY_URL="), "PAYRUN_GATEWAY_URL=")
	url, _, _ := strings.Cut(rest, " ")
	p.at(url).must("check").says("the gateway accepts ours")
	child.signal(syscall.SIGTERM)
	child.wait().exits(exitOK)
	p.run("sandbox", "--listen", "10.1.2.3:0").exits(exitUsage).complains("loopback")
}

func TestCheckLearnsHowNotFoundLooks(t *testing.T) {
	t.Parallel()
	base := newPlace(t)
	p := base.live(sandbox.Demo())
	p.must("check").says("an unknown order is answered with HTTP 200, code 90012", "which is learned now")
	_, maker, checker := p.people()
	p.must("check").says("as operator learned at")

	changed := sandbox.Demo()
	changed.ErrorStatus = 404
	q := base.live(changed)
	for _, somebody := range []*place{q, q.as(maker)} {
		somebody.run("check").exits(exitGateway).says("FAIL  answers", "HTTP 404, code 90012", "operator had learned HTTP 200", "until a checker or an admin accepts")
	}
	q.as(checker).must("check").says("HTTP 404, code 90012", "which replaces HTTP 200")
	q.must("check").says("as user:carl learned at")
	q.must("verify")
}
