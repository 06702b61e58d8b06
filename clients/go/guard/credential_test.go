package guard

import (
	"strings"
	"testing"
)

func TestReadingTheKey(t *testing.T) {
	for _, test := range []struct {
		authorization, apiKey []string
		key                   string
		refused               *refusal
	}{
		{nil, nil, "", &missingKey},
		{[]string{"Bearer k"}, nil, "k", nil},
		{nil, []string{"k"}, "k", nil},
		{[]string{"bEaReR    k"}, nil, "k", nil},
		{[]string{" \tBearer k\t "}, nil, "k", nil},
		{nil, []string{" \tk "}, "k", nil},
		{[]string{"Bearer"}, nil, "", &missingKey},
		{[]string{"Bearer "}, nil, "", &missingKey},
		{[]string{"Bearer\tk"}, nil, "", &missingKey},
		{[]string{"Bearerk"}, nil, "", &missingKey},
		{[]string{"k"}, nil, "", &missingKey},
		{[]string{"Basic k"}, nil, "", &missingKey},
		{[]string{""}, []string{""}, "", &missingKey},
		{[]string{"Basic k"}, []string{"x"}, "x", nil},
		{[]string{"Bearer k"}, []string{""}, "k", nil},
		{[]string{"Bearer"}, []string{"x"}, "x", nil},
		{[]string{"Bearer k"}, []string{"k"}, "", &ambiguousKey},
		{[]string{"Bearer k", "Bearer k"}, nil, "", &ambiguousKey},
		{[]string{"Basic k", "Bearer k"}, nil, "", &ambiguousKey},
		{[]string{"Bearer k,"}, nil, "", &ambiguousKey},
		{[]string{"Bearer k, Basic x"}, nil, "", &ambiguousKey},
		{nil, []string{"k", "x"}, "", &ambiguousKey},
		{nil, []string{"k", ""}, "", &ambiguousKey},
		{nil, []string{"k,x"}, "", &ambiguousKey},
		{[]string{"Basic a", "Basic b"}, []string{"k"}, "", &ambiguousKey},
		{[]string{"Bearer k x"}, nil, "", &invalidKey},
		{[]string{"Bearer  \tk"}, nil, "", &invalidKey},
		{nil, []string{"k\x00"}, "", &invalidKey},
		{nil, []string{"k\x7f"}, "", &invalidKey},
		{nil, []string{"schlüssel"}, "", &invalidKey},
		{nil, []string{"k\xff"}, "", &invalidKey},
		{nil, []string{"!~"}, "!~", nil},
		{nil, []string{strings.Repeat("x", 512)}, strings.Repeat("x", 512), nil},
		{nil, []string{strings.Repeat("x", 513)}, "", &invalidKey},
	} {
		key, refused := readKey(test.authorization, test.apiKey)
		if key != test.key || refused != test.refused {
			t.Errorf("%q, %q: %q, %+v", test.authorization, test.apiKey, key, refused)
		}
	}
}
