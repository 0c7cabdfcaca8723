package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// prepare does what people do: it founds the installation, brings a sheet and
// has it approved.
func (in *installation) prepare() error {
	for _, step := range [][]string{
		{"", "migrate"},
		{"", "user", "add", "olga", "--role", "admin"},
		{"token", "olga"},
		{"olga", "user", "add", "mia", "--role", "maker"},
		{"olga", "user", "add", "ben", "--role", "checker"},
		{"token", "mia"},
		{"token", "ben"},
		{"olga", "funds", "add", "1000000.00", "USD", "--evidence", "opening"},
		{"olga", "check"}, // learns how the gateway says "not found"
		{"", "job", "run", "limits"},
	} {
		if err := in.step(step[0], step[1:]...); err != nil {
			return err
		}
	}
	path := filepath.Join(in.folder, "payouts.csv")
	if err := writeSheet(path, in.payouts, in.seed); err != nil {
		return err
	}
	out, err := in.command("mia", "--json", "import", path)
	if err != nil {
		return err
	}
	var imported struct {
		Batch struct{ Batch int64 }
	}
	if err := json.Unmarshal([]byte(out), &imported); err != nil {
		return fmt.Errorf("the import says %q: %w", out, err)
	}
	in.batch = imported.Batch.Batch
	if err := in.step("mia", "batch", "submit", fmt.Sprint(in.batch)); err != nil {
		return err
	}
	return in.step("ben", "batch", "approve", fmt.Sprint(in.batch))
}

// step runs a command; "token" issues somebody's token.
func (in *installation) step(who string, arguments ...string) error {
	if who != "token" {
		_, err := in.command(who, arguments...)
		return err
	}
	name := arguments[0]
	issuer := "olga"
	if in.tokens[issuer] == "" {
		issuer = ""
	}
	out, err := in.command(issuer, "user", "token", name)
	in.tokens[name] = strings.TrimSpace(out)
	return err
}

// writeSheet writes a csv of payouts that every channel takes.
func writeSheet(path string, payouts int, seed uint64) error {
	r := random(seed, "sheet")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	_ = w.Write([]string{"reference", "channel", "account", "amount", "currency"})
	for i := range payouts {
		channel := channels[r.IntN(len(channels))]
		amount := 100 + r.IntN(9_900)
		_ = w.Write([]string{fmt.Sprintf("C%d-%d", seed, i), channel, account(channel, i), fmt.Sprintf("%d.%02d", amount/100, amount%100), "USD"})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return f.Close()
}

// account is a wallet that the sandbox has no convention for.
func account(channel string, i int) string {
	form := map[string]string{"11": "U1%06d", "12": "U100000%06d", "16": "P10%06d", "18": "FP1%06d"}[channel]
	return fmt.Sprintf(form, 100_000+i)
}

// liftStops does what a checker does who has looked: payouts go again.
func (in *installation) liftStops() error {
	out, err := in.command("ben", "--json", "stop", "list")
	if err != nil {
		return nil // the store is away
	}
	var stops []struct{ Scope, What string }
	if err := json.Unmarshal([]byte(out), &stops); err != nil {
		return fmt.Errorf("stop list says %q: %w", out, err)
	}
	for _, s := range stops {
		arguments := []string{"stop", "lift", s.Scope}
		if s.Scope == "channel" {
			arguments = append(arguments, strings.TrimPrefix(s.What, "channel "))
		}
		if _, err := in.command("ben", arguments...); err == nil {
			in.counts.lifts++
		}
	}
	return nil
}

// ask talks to the gateway's controls.
func (in *installation) ask(method, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(in.ctx, method, "http://"+in.gatewayAt+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, err
}
