package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Endpoint is one of the gateway's calls, or the callback it makes itself.
type Endpoint string

// The endpoints that faults and the list of calls speak of.
const (
	Create   Endpoint = "create"   // payoutApi/createEwalletTransaction
	Query    Endpoint = "query"    // payoutApi/queryTransaction
	Limits   Endpoint = "limit"    // payoutApi/getLimit
	Balance  Endpoint = "balance"  // payoutApi/getBalance
	Callback Endpoint = "callback" // the POST to notifyUrl
)

// BasePath is the part of the base URL after the host.
const BasePath = "/capi/openapi/"

const maxBody = 1 << 20

// request is a decoded call. Its signature is not checked yet.
type request struct {
	param map[string]any
	sign  string
	err   error // why it could not be decoded
}

func readRequest(r *http.Request) request {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return request{err: fmt.Errorf("body not read: %w", err)}
	case len(body) > maxBody:
		return request{err: errors.New("body too large")}
	}
	return decodeRequest(body)
}

func decodeRequest(body []byte) request {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // a number is signed as it was written
	var envelope struct {
		Param map[string]any `json:"param"`
		Sign  string         `json:"sign"`
	}
	if err := decoder.Decode(&envelope); err != nil {
		return request{err: errors.New("body is not JSON with param and sign")}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request{err: errors.New("something follows the JSON body")}
	}
	if envelope.Param == nil {
		return request{err: errors.New("param is missing")}
	}
	return request{param: envelope.Param, sign: envelope.Sign}
}

// text is a scalar parameter; numbers count as the text they were sent as.
func (r request) text(name string) string { return scalar(r.param[name]) }

func scalar(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// receiver is a member of receiverInfo.
func (r request) receiver(name string) string {
	info, _ := r.param["receiverInfo"].(map[string]any)
	return scalar(info[name])
}

// extendFields is the member as the reply echoes it: JSON as text.
func (r request) extendFields() string {
	value, ok := r.param["extendFields"].(map[string]any)
	if !ok {
		return scalar(r.param["extendFields"])
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return string(encoded)
}

// admit checks what every endpoint asks of a request.
func (s *Server) admit(r request) (refusal reply, ok bool) {
	if r.err != nil {
		return refuse(codeRequest, "malformed request: "+r.err.Error()), false
	}
	matched, ok := verify(r.param, r.sign, s.config.Separator, s.config.Key)
	if !ok {
		return refuse(codeSignature, "signature does not match"), false
	}
	s.countSignature(matched)
	switch {
	case r.text("epayAccount") != s.config.Account:
		return refuse(codeAccount, "unknown epayAccount"), false
	case !knownVersion(r.text("version")):
		return refuse(codeVersion, "unknown version"), false
	}
	return reply{}, true
}

// knownVersion accepts what the guide names: V2.0.0, and still V1.0.0. Its
// text writes a small v, its examples a capital one.
func knownVersion(version string) bool {
	return strings.EqualFold(version, Version) || strings.EqualFold(version, "V1.0.0")
}
