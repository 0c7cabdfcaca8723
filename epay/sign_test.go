package epay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// vectors is testdata/vectors.json. Canonical and Sign are a text where the
// separator does not matter, otherwise one text per separator.
type vectors struct {
	Separators map[Separator]string `json:"separators"`
	Vectors    []vector             `json:"vectors"`
	Cases      []struct {
		ID            string          `json:"id"`
		Input         json.RawMessage `json:"input"`
		APIKey        string          `json:"api_key"`
		PresentedSign string          `json:"presented_sign"`
		MustVerify    bool            `json:"must_verify"`
	} `json:"verification_cases"`
	DoNotSend []struct {
		ID        string             `json:"id"`
		InputJSON string             `json:"input_json"`
		APIKey    string             `json:"api_key"`
		Canonical map[string]*string `json:"canonical"`
		Sign      map[string]*string `json:"sign"`
	} `json:"do_not_send"`
	Unsignable struct {
		Values []string `json:"values"`
	} `json:"unsignable_values"`
}

type vector struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"`
	APIKey      string          `json:"api_key"`
	Input       json.RawMessage `json:"input"`
	Canonical   bySeparator     `json:"canonical"`
	Sign        bySeparator     `json:"sign"`
	FormBody    string          `json:"form_body"`
	ContentType string          `json:"content_type"`
}

type bySeparator map[Separator]string

func (b *bySeparator) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*b = bySeparator{SeparatorJava: one, SeparatorAmp: one, SeparatorComma: one}
		return nil
	}
	return json.Unmarshal(raw, (*map[Separator]string)(b))
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t testing.TB, raw string) value {
	t.Helper()
	v, _, err := parseJSON([]byte(raw))
	if err != nil {
		t.Fatalf("parse %s: %v", raw, err)
	}
	return v
}

var separators = []Separator{SeparatorJava, SeparatorAmp, SeparatorComma}

func TestVectorsSign(t *testing.T) {
	t.Parallel()
	all := loadVectors(t)
	if len(all.Vectors) != 21 {
		t.Fatalf("%d vectors, want 21", len(all.Vectors))
	}
	for _, v := range all.Vectors {
		input := parse(t, string(v.Input))
		for _, sep := range separators {
			t.Run(v.ID+"/"+string(sep), func(t *testing.T) {
				t.Parallel()
				s := newSigner(sep, v.APIKey)
				canonical := string(form{separator: sep}.appendText(nil, input)) + "&key=" + v.APIKey
				if canonical != v.Canonical[sep] {
					t.Errorf("canonical text\n got %s\nwant %s", canonical, v.Canonical[sep])
				}
				if got := string(s.appendSign(nil, input)); got != v.Sign[sep] {
					t.Errorf("sign %s, want %s", got, v.Sign[sep])
				}
				for _, theirs := range separators {
					if _, ok := s.verify(input, v.Sign[theirs]); !ok {
						t.Errorf("configured %s: signature made with %s is refused", sep, theirs)
					}
				}
			})
		}
	}
}

func TestVectorsSeparators(t *testing.T) {
	t.Parallel()
	for sep, want := range loadVectors(t).Separators {
		if got := sep.join(); got != want {
			t.Errorf("separator %s joins with %q, want %q", sep, got, want)
		}
	}
}

func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	all := loadVectors(t)
	if len(all.Cases) != 5 {
		t.Fatalf("%d cases, want 5", len(all.Cases))
	}
	for _, c := range all.Cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			s := newSigner(SeparatorJava, c.APIKey)
			if _, ok := s.verify(parse(t, string(c.Input)), c.PresentedSign); ok != c.MustVerify {
				t.Errorf("verifies: %v, want %v", ok, c.MustVerify)
			}
		})
	}
}

// Values that implementations sign differently are never sent. When received,
// either reading is accepted.
func TestVectorsDoNotSend(t *testing.T) {
	t.Parallel()
	all := loadVectors(t)
	if len(all.DoNotSend) != 7 {
		t.Fatalf("%d cases, want 7", len(all.DoNotSend))
	}
	c := testClient(t)
	for _, v := range all.DoNotSend {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			input := parse(t, v.InputJSON)
			body, err := c.encode(input)
			var refused *InvalidError
			if !errors.As(err, &refused) || body != nil {
				t.Fatalf("encode = %q, %v, want an InvalidError", body, err)
			}
			demo := string(form{demo: true}.appendText(nil, input)) + "&key=" + v.APIKey
			if demo != *v.Canonical["java_demo"] {
				t.Errorf("demo reading\n got %s\nwant %s", demo, *v.Canonical["java_demo"])
			}
			s := newSigner(SeparatorJava, v.APIKey)
			if _, ok := s.verify(input, *v.Sign["java_demo"]); !ok {
				t.Error("the demo's signature is refused")
			}
			// A parser with floats would print 10.50 as 10.5; this one keeps it.
			if plain := v.Sign["plain"]; plain != nil && !strings.Contains(v.InputJSON, "10.50") {
				if _, ok := s.verify(input, *plain); !ok {
					t.Error("the plain reading's signature is refused")
				}
			}
		})
	}
}

func TestUnsignableValuesAreRefused(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	values := append(loadVectors(t).Unsignable.Values, "nan", "Undefined", "Null", "{", "[1]", "a\x00b", "a\nb", "\xff", "\u00a0")
	if len(values) < 12 {
		t.Fatalf("only %d values", len(values))
	}
	for _, v := range values {
		for name, param := range map[string]value{
			"top":    object(member{"remark", text(v)}),
			"nested": object(member{"receiverInfo", object(member{"accountNo", text(v)})}),
		} {
			_, err := c.encode(param)
			var refused *InvalidError
			if !errors.As(err, &refused) {
				t.Errorf("%s %q: error %v, want an InvalidError", name, v, err)
			}
		}
	}
}

func testClient(t testing.TB) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: "https://gateway.example/", Account: "test2020@epay.com", Key: "TESTKEY0000000000000000000000001"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is signed is what is sent: the body, read back, has the signature that
// it carries.
func TestEncodeSignsWhatItSends(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	for _, v := range loadVectors(t).Vectors {
		if v.Kind != "request" || v.ID == "15-key-with-symbols" { // signed with another key
			continue
		}
		body, err := c.encode(parse(t, string(v.Input)))
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		sent := parse(t, string(body))
		if got := sent.get("sign").text; got != v.Sign[SeparatorJava] {
			t.Errorf("%s: sign %s, want %s", v.ID, got, v.Sign[SeparatorJava])
		}
		if _, ok := c.signer.verify(sent.get("param"), sent.get("sign").text); !ok {
			t.Errorf("%s: body does not verify: %s", v.ID, body)
		}
	}
}

func TestVerifyRefusesSignsThatAreNotHex(t *testing.T) {
	t.Parallel()
	s := newSigner(SeparatorJava, "k")
	o := object(member{"a", text("1")})
	good := string(s.appendSign(nil, o))
	for _, sign := range []string{"", " ", good[:63], good + "0", " " + good[1:], strings.Repeat("Z", 64), good[:32]} {
		if _, ok := s.verify(o, sign); ok {
			t.Errorf("sign %q verifies", sign)
		}
	}
}

// FuzzCanonicalText signs arbitrary data and expects it to verify, and any
// change of a value that is signed not to.
func FuzzCanonicalText(f *testing.F) {
	for _, v := range loadVectors(f).Vectors {
		f.Add(string(v.Input), v.APIKey)
	}
	for _, v := range loadVectors(f).DoNotSend {
		f.Add(v.InputJSON, v.APIKey)
	}
	f.Fuzz(func(t *testing.T, raw, key string) {
		o, _, err := parseJSON([]byte(raw))
		if err != nil || o.kind != kindObject {
			return
		}
		for _, sep := range separators {
			s := newSigner(sep, key)
			sign := string(s.appendSign(nil, o))
			if _, ok := s.verify(o, sign); !ok {
				t.Fatalf("%s does not verify under %s", raw, sep)
			}
			if _, ok := s.verify(o, strings.ToLower(sign)); !ok {
				t.Fatalf("%s does not verify with a lower-case sign", raw)
			}
			if other := newSigner(sep, key+"x"); other.accepts(o, sign) {
				t.Fatalf("%s verifies under another key", raw)
			}
			changed := object(append(slices.Clone(o.members), member{"\x00added", text("y")})...)
			if s.accepts(changed, sign) {
				t.Fatalf("%s verifies with a member added", raw)
			}
		}
	})
}

func (s *signer) accepts(o value, sign string) bool {
	_, ok := s.verify(o, sign)
	return ok
}

func TestSignerIsNotPrintedThroughTheClient(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q", "%x"} {
		if got := fmt.Sprintf(verb, c); strings.Contains(got, "TESTKEY") || strings.Contains(got, "544553544b4559") {
			t.Errorf("%s shows the key: %s", verb, got)
		}
	}
}
