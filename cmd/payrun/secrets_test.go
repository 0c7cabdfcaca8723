package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"payrun/internal/sandbox"
)

// Canaries that must appear nowhere but where they belong.
const (
	canaryKey      = "CANARY0KEY0that0nobody0prints"
	canaryPassword = "canaryPassword77"
	canaryAccount  = "U987654321000907"
)

// silent checks everything a command wrote.
func (r result) silent(secrets ...string) result {
	r.t.Helper()
	for _, secret := range secrets {
		if strings.Contains(r.out+r.err, secret) {
			r.t.Errorf("payrun %s shows %q:\n%s%s", r.command, secret, r.out, r.err)
		}
	}
	return r
}

func TestSecretsNeverShow(t *testing.T) {
	t.Parallel()
	settings := sandbox.Demo()
	settings.Key = canaryKey
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, "PAYRUN_LOG_LEVEL=debug", "PAYRUN_LOG_FORMAT="+format).live(settings).with("PAYRUN_GATEWAY_KEY=" + canaryKey)
			admin, maker, checker := p.people()
			secrets := []string{canaryKey, canaryAccount, "987654321000", admin, maker, checker}
			p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x").silent(secrets...)
			rows := []string{
				"R-1,12," + canaryAccount + ",10.00,USD,A", "R-2,12,U987654321000900,11.00,USD,B", // paid, refused
				"R-3,11," + canaryAccount + "X,12.00,USD,C", "R-4,16," + canaryAccount + ",12.00,USD,D", "R-5,12," + canaryAccount + ",0,USD,E",
			}
			p.as(maker).run("run", "--good-rows", p.sheet(rows...)).exits(exitSheet).silent(secrets...)
			p.as(maker).run("run", "--good-rows", "--totals", "2 good, 3 bad, 21.00 USD", "--confirm-warnings", p.sheet(rows...)).exits(exitOK).silent(secrets...)
			p.run("batch", "warnings", "1").exits(exitOK).silent(secrets...)
			p.as(maker).run("run", p.sheet(rows...)).exits(exitSheet).silent(secrets...)
			p.as(maker).run("import", "--json", "--dry-run", p.sheet(rows...)).exits(exitSheet).silent(secrets...)
			p.as(checker).must("batch", "approve", "1").silent(secrets...)

			serving := p.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
			eventually(t, "the payouts were sent", func() bool {
				s := p.states(1)
				return s["SUCCEEDED"] == 1 && s["APPROVED"]+s["SENDING"]+s["ACCEPTED"] == 0
			})
			serving.signal(syscall.SIGTERM)
			serving.wait().exits(exitOK).silent(secrets...)

			order := p.firstOrder(t)
			p.must("payout", "show", order).says("0907").silent(secrets...)
			p.must("payout", "show", order, "--json").says("0907").silent(secrets...)
			for _, args := range [][]string{{"batch", "show", "1"}, {"batch", "show", "1", "--json"}, {"check"}, {"check", "--json"}, {"verify"}, {"user", "list"}, {"job", "list"}, {"funds"}} {
				p.must(args...).silent(secrets...)
			}
			p.as(maker+"x").run("batch", "submit", "1").exits(exitRefused).silent(secrets...)
			p.with("PAYRUN_GATEWAY_KEY=" + canaryKey + "x").run("check").exits(exitGateway).silent(secrets...)
			p.with("PAYRUN_GATEWAY_KEY= " + canaryKey).run("check").exits(exitUsage).silent(secrets...)
			p.with("PAYRUN_GATEWAY_KEYS=" + canaryKey).run("check").exits(exitUsage).silent(secrets...)
			p.with("PAYRUN_DATABASE_URL=postgres://u:" + canaryPassword + "@127.0.0.1:1/x").run("check").exits(exitDatabase).silent(canaryPassword)
			p.with("PAYRUN_DATABASE_URL=postgres://127.0.0.1:1/x?password=" + canaryPassword).run("check").exits(exitDatabase).silent(canaryPassword)
			p.with("PAYRUN_DATABASE_URL=postgres://u:"+canaryPassword+"@127.0.0.1:bad/x").run("batch", "list").exits(exitDatabase).silent(canaryPassword)
			p.noFileHolds(canaryKey, admin, maker, checker)
		})
	}
}

// firstOrder is the number of the first payout of batch 1, as the csv has it.
func (p *place) firstOrder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "payouts.csv")
	p.must("report", "--csv", "-o", path).silent(canaryAccount)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), canaryAccount) {
		t.Error("the csv shows a whole account")
	}
	for field := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return strings.ContainsRune(",\r\n\"", r) }) {
		if len(field) == 24 && strings.HasSuffix(field, "00000001") {
			return field
		}
	}
	t.Fatalf("no order number in the csv:\n%s", text)
	return ""
}

// noFileHolds looks into everything that was written, the database included.
func (p *place) noFileHolds(secrets ...string) {
	p.t.Helper()
	err := filepath.WalkDir(p.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range secrets {
			if strings.Contains(string(text), secret) {
				p.t.Errorf("%s holds %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
