package sandbox

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Version is the protocol version in every reply.
const Version = "V2.0.0"

const codeSuccess = 1

// The gateway documents code 1 alone. These codes and their messages are
// invented for the sandbox: no client may branch on them, and
// Config.RandomCodes shuffles them to make sure.
const (
	codeSignature  = 90001
	codeAccount    = 90002
	codeRequest    = 90003
	codeVersion    = 90004
	codeCategory   = 90005
	codeChannel    = 90006
	codeCurrency   = 90007
	codeAmount     = 90008
	codeLimit      = 90009
	codeBalance    = 90010
	codeDuplicate  = 90011
	codeNotFound   = 90012
	codeReceiver   = 90013
	codeOutage     = 90014
	codeNotOffered = 90015
	codeScripted   = 90099
)

const invented = " (this code is invented by the sandbox)"

// reply is the answer to a request before it is encoded: an object, a list of
// objects (getBalance), or neither, which is null.
type reply struct {
	code    int
	message string
	data    fields
	list    []fields
	sign    func(string) string // a fault that spoils the signature, or nil
}

func success(data fields) reply { return reply{code: codeSuccess, message: "success", data: data} }

func refuse(code int, message string) reply {
	return reply{code: code, message: message + invented}
}

func (s *Server) encode(r reply) []byte {
	code := r.code
	if code != codeSuccess && s.config.RandomCodes {
		code = 2 + rand.IntN(1_000_000)
	}
	b := make([]byte, 0, 640)
	b = append(b, `{"sign":`...)
	b = appendText(b, s.signReply(r))
	b = append(b, `,"epayAccount":`...)
	b = appendText(b, s.config.Account)
	b = append(b, `,"version":"`+Version+`","code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"message":`...)
	b = appendText(b, r.message)
	b = append(b, `,"data":`...)
	return append(r.appendData(b), '}')
}

func (r reply) appendData(b []byte) []byte {
	switch {
	case r.data != nil:
		return r.data.appendJSON(b)
	case r.list == nil:
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, item := range r.list {
		if i > 0 {
			b = append(b, ',')
		}
		b = item.appendJSON(b)
	}
	return append(b, ']')
}

func (s *Server) signReply(r reply) string {
	signature := ""
	switch {
	case s.config.ReplySigning == SignNever:
	case r.data != nil:
		signature = s.sign(r.data.members())
	case s.config.ReplySigning == SignAlways:
		// How the gateway signs an array or null, if it does, is unknown.
		// This is the array as the published demo prints one, then the key.
		items := make([]any, len(r.list))
		for i, item := range r.list {
			items[i] = item.members()
		}
		var b strings.Builder
		if r.list != nil {
			writeArray(&b, items, s.separator().text())
		}
		signature = digest(b.String() + "&key=" + s.config.Key)
	}
	if r.sign != nil {
		return r.sign(signature)
	}
	return signature
}

// sign signs with the configured separator; a lenient server signs like the
// published demo.
func (s *Server) sign(members map[string]any) string {
	return sign(members, s.separator(), s.config.Key)
}

func (s *Server) separator() Separator {
	return s.config.Separator.candidates()[0]
}
