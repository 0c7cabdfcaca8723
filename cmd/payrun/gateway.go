package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"payrun/epay"
	"payrun/internal/money"
	"payrun/jobs"
)

// askGateway refreshes balances and limits. The balances are asked first and
// alone: when the gateway turns us away, one sentence says so, not one for
// each channel.
func (a *app) askGateway(gateway jobs.Gateway) (map[money.Currency]money.Amount, error) {
	balances, err := gateway.Balances(a.ctx)
	if err != nil {
		return nil, a.explainGateway(err)
	}
	return balances, a.explainGateway(a.limitsJob(gateway).Run(a.ctx))
}

// explainGateway says what to do about a call that failed.
func (a *app) explainGateway(err error) error {
	if err == nil {
		return nil
	}
	if a.ctx.Err() != nil {
		return err // stopped, which is nobody's fault
	}
	var call *epay.Error
	if !errors.As(err, &call) {
		return err // ours: the store's, for example
	}
	return fmt.Errorf("%w: %w; %s", errGateway, err, a.gatewayAdvice(call))
}

const turnsAway = "check gateway.account, gateway.key, and that the gateway's list of allowed addresses has this machine's"

func (a *app) gatewayAdvice(call *epay.Error) string {
	switch {
	case strings.Contains(call.Call, "Limit") && errors.Is(call, epay.ErrRefused):
		return "if it does not tell limits of wallets, set limits: configured and a maximum for the channel"
	case errors.Is(call, epay.ErrRefused), call.Reply.HTTPStatus == http.StatusUnauthorized, call.Reply.HTTPStatus == http.StatusForbidden:
		return turnsAway
	}
	return a.reasonAdvice(call.Reply.Reason)
}

// reasonAdvice says what a reason for not believing an answer is about.
func (a *app) reasonAdvice(reason epay.Reason) string {
	switch reason {
	case epay.ReasonDial, epay.ReasonTimeout, epay.ReasonReset:
		return "check gateway.url and that this machine reaches it"
	case epay.ReasonTLS:
		return "its certificate is not trusted: check gateway.url, and this machine's clock and certificates"
	case epay.ReasonUnsigned:
		return "it does not sign its answers: set gateway.reply_signature to if-present"
	case epay.ReasonBadSignature:
		return "its answers are signed differently: check gateway.key and gateway.separator"
	case epay.ReasonIncomplete, epay.ReasonMalformed:
		return "its answers lack fields that the manual promises: ask the gateway's support, with the evidence that payout show names"
	case epay.ReasonThrottled:
		return "it asks for fewer calls: lower gateway.calls_per_second"
	case epay.ReasonServerError:
		return "it is in trouble itself: try again later"
	}
	return "check that gateway.url is the gateway's base address, ending in /openapi/"
}
