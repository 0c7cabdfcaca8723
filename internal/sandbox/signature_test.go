package sandbox

import (
	"encoding/json"
	"os"
	"testing"
)

type vectorFile struct {
	Vectors []struct {
		ID        string          `json:"id"`
		Kind      string          `json:"kind"`
		Key       string          `json:"api_key"`
		Input     json.RawMessage `json:"input"`
		Canonical json.RawMessage `json:"canonical"`
		Sign      json.RawMessage `json:"sign"`
		FormBody  string          `json:"form_body"`
	} `json:"vectors"`
	Verification []struct {
		ID         string          `json:"id"`
		Key        string          `json:"api_key"`
		Input      json.RawMessage `json:"input"`
		Presented  string          `json:"presented_sign"`
		MustVerify bool            `json:"must_verify"`
	} `json:"verification"`
	Edge []struct {
		ID        string `json:"id"`
		Key       string `json:"api_key"`
		Input     string `json:"input_json"`
		Canonical string `json:"canonical"`
		Sign      string `json:"sign"`
	} `json:"edge"`
	Unsignable []string `json:"unsignable"`
}

func vectors(t *testing.T) vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 20 || len(file.Verification) == 0 || len(file.Edge) == 0 || len(file.Unsignable) == 0 {
		t.Fatal("testdata/vectors.json is not complete")
	}
	return file
}

func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	r := decodeRequest([]byte(`{"param":` + string(data) + `}`))
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.param
}

// perSeparator reads a value that is one text for all separators, or one each.
func perSeparator(t *testing.T, data json.RawMessage, separator Separator) string {
	t.Helper()
	var same string
	if json.Unmarshal(data, &same) == nil {
		return same
	}
	var each map[Separator]string
	if err := json.Unmarshal(data, &each); err != nil {
		t.Fatal(err)
	}
	return each[separator]
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Vectors {
		for _, separator := range []Separator{SeparatorJava, SeparatorAmp, SeparatorComma} {
			t.Run(v.ID+"/"+string(separator), func(t *testing.T) {
				t.Parallel()
				members := object(t, v.Input)
				text, ok := canonical(members, separator, v.Key)
				if want := perSeparator(t, v.Canonical, separator); text != want || !ok {
					t.Errorf("canonical text\n got %s\nwant %s", text, want)
				}
				want := perSeparator(t, v.Sign, separator)
				if got := sign(members, separator, v.Key); got != want {
					t.Errorf("sign = %s, want %s", got, want)
				}
				if matched, ok := verify(members, want, SeparatorAny, v.Key); !ok {
					t.Errorf("a lenient server refuses it (matched %q)", matched)
				}
			})
		}
	}
}

func TestSignatureVerification(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Verification {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			if _, ok := verify(object(t, v.Input), v.Presented, SeparatorJava, v.Key); ok != v.MustVerify {
				t.Errorf("verified = %v, want %v", ok, v.MustVerify)
			}
		})
	}
}

func TestSignatureEdgeCasesFollowTheJavaDemo(t *testing.T) {
	t.Parallel()
	file := vectors(t)
	for _, v := range file.Edge {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			members := object(t, []byte(v.Input))
			if text, _ := canonical(members, SeparatorJava, v.Key); text != v.Canonical {
				t.Errorf("canonical text\n got %s\nwant %s", text, v.Canonical)
			}
			if got := sign(members, SeparatorJava, v.Key); got != v.Sign {
				t.Errorf("sign = %s, want %s", got, v.Sign)
			}
		})
	}
	for _, value := range file.Unsignable {
		members := map[string]any{"a": value}
		if got := sign(members, SeparatorJava, "k"); got != "" {
			t.Errorf("%q was signed", value)
		}
		if _, ok := verify(members, "", SeparatorAny, "k"); ok {
			t.Errorf("%q was verified with an empty signature", value)
		}
	}
}
