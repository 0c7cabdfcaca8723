package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"payrun/internal/config"
)

func TestFirstPeople(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("user", "list").says("Nobody yet")
	p.run("user", "add", "mia", "--role", "maker").exits(exitRefused).complains("the first person must be an admin: payrun user add NAME --role admin")
	p.must("user", "add", "ada", "--role", "admin").says("Next: payrun user token ada")
	p.run("user", "add", "mia", "--role", "maker").exits(exitRefused).complains("payrun user token ada issues the first token")
	issued := p.must("user", "token", "ada").complains("shown only now")
	token := strings.TrimSpace(issued.out)
	if token == "" || strings.ContainsAny(token, " \n") || strings.Contains(issued.err, token) {
		t.Errorf("standard output is not the token alone: %q", issued.out)
	}
	p.run("user", "add", "mia", "--role", "maker").exits(exitRefused).complains("set PAYRUN_TOKEN or use --token-file")
	p.as(token).must("user", "add", "mia", "--role", "maker")
	p.as("wrong").run("user", "add", "eve", "--role", "maker").exits(exitRefused).complains("the token is not valid")
	p.must("user", "list").says("ada", "admin", "mia", "maker")
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, _, _ := p.people()
	p.must("user", "add", "eve", "--role", "auditor", "--token-file", p.file("token", admin+"\n", 0o600))
	p.run("user", "list", "--token-file", "/nowhere").exits(exitOK) // needs none
	for path, want := range map[string]string{
		p.file("token", admin, 0o644): "can be read by others; run chmod 600",
		"/nowhere/token":              "cannot be read",
		p.file("token", "", 0o600):    "is empty",
		t.TempDir():                   "is not a file",
	} {
		p.run("user", "add", "eva", "--role", "auditor", "--token-file", path).exits(exitUsage).complains("--token-file: ", want)
	}
}

func TestTwoPeoplePayWhileServeRuns(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "bank reference 4711").says("1,000.00 USD")
	p.must("funds").says("1,000.00")
	serving := p.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	address := serving.address()

	sheet := p.sheet(goodRows(5)...)
	p.as(maker).must("import", sheet).says("5 good rows", "payrun batch submit 1")
	p.as(maker).must("batch", "submit", "1").says("submitted by mia", "Next, a checker other than mia: payrun batch approve 1")
	p.as(maker).run("batch", "approve", "1").exits(exitRefused).complains("needs the role checker")
	p.as(admin).run("batch", "approve", "1").exits(exitRefused).complains("not allowed")
	p.as(checker).must("batch", "approve", "1").says("approved by carl")
	eventually(t, "five payouts are paid", func() bool { return p.states(1)["SUCCEEDED"] == 5 })

	p.run("run", sheet).exits(exitDatabase).complains("another payrun process runs the jobs", "stop it first")
	p.run("job", "run", "track").exits(exitDatabase).complains("another payrun process")
	p.must("check").says("another payrun process runs it", "skip  signature", "skip  limits", "skip  answers", "keeps this fresh", "Ready.")
	p.must("job", "list").says("settle")
	p.as(checker).must("settle").says("is closed with")
	p.as(checker).must("settle").says("was closed at ", "; 0 came since")
	p.must("verify")

	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": `payrun_payouts_open{state="UNKNOWN"} 0`} {
		if status, body := fetch(t, "http://"+address+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %q:\n%s", path, status, want, body)
		}
	}
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK).complains("msg=serving", "msg=stopped")
	p.must("verify")
}

// address waits until serve listens, and returns where.
func (c *process) address() string {
	c.t.Helper()
	_, rest, ok := strings.Cut(c.errOut.line(c.t, "msg=serving"), "address=")
	if !ok {
		c.t.Fatal("serve does not say where it listens")
	}
	address, _, _ := strings.Cut(rest, " ")
	return address
}

func TestNobodyApprovesWhatTheyMade(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, _, checker := p.people()
	p.as(admin).must("user", "add", "both", "--role", "maker", "--role", "checker")
	both := strings.TrimSpace(p.as(admin).must("user", "token", "both").out)
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	p.as(both).must("import", p.sheet(goodRows(2)...))
	p.as(both).must("batch", "submit", "1")
	p.as(both).run("batch", "approve", "1").exits(exitRefused).complains("somebody else has to approve it")
	p.as(checker).must("batch", "approve", "1")
	p.must("verify")
}

func TestEveryDecision(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	p.as(admin).must("funds", "add", "30.00", "USD", "--evidence", "x")
	sheet := p.sheet(goodRows(2)...) // 21.50
	p.as(maker).must("import", sheet)
	p.as(maker).must("batch", "submit", "1")
	p.as(maker).must("batch", "recall", "1", "--reason", "a slip").says("recalled")
	p.as(maker).must("batch", "submit", "1")
	p.as(checker).must("batch", "reject", "1", "--reason", "wrong month").says("rejected")
	p.as(maker).run("batch", "approve", "1").exits(exitRefused)
	p.as(maker).must("batch", "discard", "1", "--reason", "made anew").says("discarded")

	p.as(maker).must("import", sheet)
	p.as(maker).must("batch", "submit", "2")
	p.as(checker).must("batch", "approve", "2")
	p.as(maker).must("batch", "pause", "2", "--reason", "a question")
	p.must("batch", "list").says("APPROVED, paused")
	p.as(maker).run("batch", "resume", "2").exits(exitRefused)
	p.as(checker).must("batch", "resume", "2")

	p.as(maker).must("import", sheet).says("imported before, as batch 2", "allow-repeat 3")
	p.as(maker).run("batch", "submit", "3").exits(exitRefused)
	p.as(maker).run("batch", "allow-repeat", "3", "--reason", "it is fine").exits(exitRefused)
	p.as(checker).must("batch", "allow-repeat", "3", "--reason", "next month")
	p.as(maker).run("batch", "submit", "3").exits(exitRefused).complains("2 of payee-paid-before", "payrun batch confirm")
	p.must("batch", "warnings", "3").says("2 not yet, by the maker", "Row 2 of batch 2 pays the same amount to the same account; it is not sent")
	p.as(maker).run("batch", "confirm", "3").exits(exitUsage).complains("say what you confirm")
	p.as(maker).must("batch", "confirm", "3", "--row", "2").says("1 warning confirmed by mia")
	p.as(maker).run("batch", "submit", "3", "--confirm-warnings").exits(exitRefused).says("PAID TWICE? 2 of these 2 rows are in batch 2 already (APPROVED)", "21.50 USD would be paid a second time").
		complains("payee-paid-before may be the same payments again")
	p.as(maker).run("batch", "confirm", "3", "--all").exits(exitRefused).complains("they are confirmed by kind or row")
	p.as(maker).must("batch", "confirm", "3", "--kind", "payee-paid-before").says("1 warning confirmed by mia", "1 of payee-paid-before, ")
	p.as(maker).must("batch", "submit", "3")
	p.must("batch", "show", "3").says("2 not yet, by the checker")
	p.as(checker).run("batch", "approve", "3").exits(exitRefused).complains("not confirmed by the checker")
	p.as(checker).must("batch", "confirm", "3", "--kind", "payee-paid-before").says("2 warnings confirmed by")
	p.as(checker).run("batch", "approve", "3").exits(exitRefused).complains("not enough available", "payrun funds add")
	p.as(checker).must("batch", "cancel", "2", "--reason", "left the company").says("2 payouts cancelled")
	p.must("batch", "list").says("CANCELLED").silent("paused")
	p.must("batch", "show", "2").says(", CANCELLED\n")
	p.must("stop", "list").says("Nothing is stopped.")
	p.as(checker).run("batch", "cancel", "2", "--reason", "left the company").exits(exitRefused).
		complains("batch 2 has nothing left that could be taken back: 2 cancelled")
	p.as(checker).must("batch", "approve", "3")

	p.as(checker).must("stop", "channel", "11", "--reason", "outage").says("channel 11 (Perfect Money)")
	p.as(checker).must("stop", "everything", "--reason", "fire drill")
	p.must("stop", "list").says("everything", "channel 11 (Perfect Money)", "fire drill")
	p.as(checker).must("job", "run", "disburse").says("0 sent")
	p.as(checker).must("stop", "lift", "everything")
	p.as(checker).must("stop", "lift", "channel", "11")
	if left := p.must("stop", "list"); strings.Contains(left.out, "everything") || strings.Contains(left.out, "channel") {
		t.Errorf("still stopped:\n%s", left.out)
	}
	p.must("job", "run", "limits")
	p.must("job", "run", "disburse").says("2 sent, 2 accepted")
	eventually(t, "the payouts are paid", func() bool {
		p.must("job", "run", "track")
		return p.states(3)["SUCCEEDED"] == 2
	})
	p.must("batch", "list").says("FINISHED")
	p.as(admin).must("user", "disable", "mia")
	p.as(maker).run("batch", "submit", "3").exits(exitRefused).complains("the token is not valid")
	p.as(admin).must("user", "revoke", "carl").says("1 token of carl revoked")
	p.as(checker).run("settle").exits(exitRefused)
	p.must("verify")
}

func TestInbox(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := newPlace(t, "PAYRUN_INBOX_FOLDER="+folder, "PAYRUN_INBOX_OWNER=mia")
	_, maker, _ := p.people()
	p.must("job", "run", "import").says("0 imported, 0 refused")
	p.without("PAYRUN_INBOX").run("job", "run", "import").exits(exitUsage).complains("inbox.folder is not set")
	if err := os.MkdirAll(filepath.Join(folder, "riga"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.as(maker).must("profile", "add", "riga", p.file("riga.yaml", "owner: mia\nchannel: Payeer\ncurrency: USD\ndecimal_mark: ','\n", 0o600))
	for _, owner := range []string{"nobody", "carl"} {
		p.as(maker).run("profile", "add", "vilnius", p.file(owner+".yaml", "owner: "+owner+"\n", 0o600)).exits(exitUsage).
			complains("owner of the inbox: there is no active user " + owner + " with the role maker")
	}
	sheet := filepath.Join(folder, "riga", "november.csv")
	if err := errors.Join(os.WriteFile(sheet, []byte("Account;Amount;Team\nP10000001;10,50;Sales\n"), 0o600),
		os.Chtimes(sheet, time.Time{}, time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	p.must("job", "run", "import").says("0 imported, 0 refused; riga: 1 imported, 0 refused")
	p.must("batch", "show", "1").says("made by mia", "read by import profile riga", "10.50")
	p.must("payout", "show", p.orders(1)[0]).says("other columns: Team: Sales")
	p.must("batch", "show", "1").says(`kept, but not interpreted: C "Team"`)
	slip := p.file("slip.csv", "account;amount;Refernce;pay date\nP10000003;10.50;R1;2015-11-30\nP10000002;10.50;R2;2015-12-31\n", 0o600)
	p.as(maker).must("import", "--channel", "16", "--currency", "USD", slip).says(`kept, but not interpreted: C "Refernce"`, "rows 2 and 3, column D (pay date)", "is long past", "2 warnings to confirm")
	p.must("batch", "show", "2").says("2 payouts have a pay date and are not sent before it: 2015-11-30 to 2015-12-31.", "date-far")

	outside := filepath.Join(t.TempDir(), "outside")
	inside := filepath.Join(folder, "riga")
	if err := errors.Join(os.Rename(inside, outside), os.Symlink(outside, inside)); err != nil {
		t.Fatal(err)
	}
	p.run("job", "run", "import").exits(exitFailure).complains("inbox riga: ", "is a link or a file, and must be a folder")
	if err := errors.Join(os.Remove(inside), os.Rename(outside, inside)); err != nil {
		t.Fatal(err)
	}

	unknown := filepath.Join(folder, "november")
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "empty"), 0o700), os.MkdirAll(unknown, 0o700),
		os.WriteFile(filepath.Join(unknown, "a.csv"), nil, 0o600), os.Chtimes(filepath.Join(unknown, "a.csv"), time.Time{}, time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.must("job", "run", "import").says("november: no import profile of that name with an owner, 1 sheet in it is not read")
	}
	cases := p.must("exceptions").says("inbox-folder", "payrun profile add november FILE")
	p.must("exceptions", "--limit", "0").says("1 more case, opened later: --limit 1 shows all")
	if strings.Count(cases.out, "inbox-folder") != 1 || strings.Contains(cases.out, "empty") {
		t.Errorf("cases: %s", cases.out)
	}
	if err := os.RemoveAll(unknown); err != nil {
		t.Fatal(err)
	}
	p.must("job", "run", "import")
	if left := p.must("exceptions"); strings.Contains(left.out, "inbox-folder") {
		t.Errorf("still a case: %s", left.out)
	}
	p.with("PAYRUN_INBOX_FOLDER="+filepath.Join(folder, "none")).run("job", "run", "import").exits(exitFailure).complains("read the inbox")
}

// The advice was to add a profile under a name that no profile may have.
func TestAFolderWithoutAProfile(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]string{
		"november":  "rename the folder, or payrun profile add november FILE",
		"dir.xlsx":  "rename the folder: an import profile that could read it cannot be called so",
		"paypal":    "rename the folder: an import profile that could read it cannot be called so",
		"ownerless": "payrun profile add ownerless FILE --replace",
	} {
		if got := adoptFolder([]config.Profile{{Name: "paypal"}, {Name: "ownerless"}}, name); !strings.Contains(got, next) {
			t.Errorf("folder %s: %q does not say %q", name, got, next)
		}
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet(goodRows(3)...))
	target := filepath.Join(t.TempDir(), "out.csv")
	p.must("report", "--csv", "-o", target, "--batch", "1", "--channel", "11", "--status", "succeeded", "--from", "2020-01-01", "--to", "2199-12-31").says("3 payouts", "SHA-256")
	text, err := os.ReadFile(target)
	if err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("the csv: %v\n%s", err, text)
	}
	var written reportView
	p.must("report", "--json", "--status", "FAILED").document(&written)
	if written.Payouts != 0 || !strings.HasPrefix(written.Path, filepath.Join(p.data, "reports")) {
		t.Errorf("got %+v", written)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--batch", "9"}, exitRefused, "batch 9: not found"},
		{[]string{"--channel", "99"}, exitUsage, "there is no channel"},
		{[]string{"--status", "PAYED"}, exitUsage, "PAYED"},
		{[]string{"--from", "31.12.2026"}, exitUsage, "no day such as 2026-01-31"},
		{[]string{"-o", "/nowhere/out.xlsx"}, exitFailure, "/nowhere"},
	} {
		p.run(append([]string{"report"}, test.args...)...).exits(test.code).complains(test.want)
	}
}

func TestEveryResultIsOneDocument(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet(goodRows(2)...))
	var batch struct {
		Batch batchView `json:"batch"`
	}
	p.must("batch", "show", "1", "--json").document(&batch)
	var done finished
	p.must("run", p.sheet(append(goodRows(1), "R-3,11,U300000907,30.00,USD,C")...), "--json").document(&done)
	order := done.Sandbox.Example
	for _, args := range [][]string{
		{"batch", "list"}, {"batch", "show", "1"}, {"payout", "show", order}, {"stop", "list"}, {"funds"}, {"funds", "show"},
		{"job", "list"}, {"job", "run", "track"}, {"job", "run", "settle"}, {"report"}, {"report", "--csv"}, {"verify"}, {"check"}, {"migrate"},
		{"user", "list"}, {"version"}, {"import", "--dry-run", exampleSheet, "--good-rows"},
		{"batch", "warnings", "1"}, {"profile", "list"}, {"profile", "show", "webmoney"},
	} {
		var document any
		r := p.must(append(args, "--json")...)
		r.document(&document)
		if document == nil || strings.Contains(r.out, "null") && args[0] != "import" {
			t.Errorf("%v prints null: %s", args, r.out)
		}
	}
	var failed problemView
	r := p.run("batch", "show", "77", "--json").exits(exitRefused)
	if err := json.Unmarshal([]byte(r.err), &failed); err != nil || failed.ExitCode != exitRefused || failed.Error == "" || r.out != "" {
		t.Errorf("a failure: %+v, %v, output %q", failed, err, r.out)
	}
	r = p.run("batch", "shwo", "--json").exits(exitUsage)
	if err := json.Unmarshal([]byte(r.err), &failed); err != nil {
		t.Errorf("a usage error: %v: %s", err, r.err)
	}
}
