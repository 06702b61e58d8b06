package portcullis

import "testing"

func TestAddresses(t *testing.T) {
	for text, expect := range map[string]struct {
		at         string
		isLoopback bool
	}{
		"http://127.0.0.1:50051":         {"127.0.0.1:50051", true},
		"http://127.8.8.8:1/":            {"127.8.8.8:1", true},
		"http://[::1]:50051":             {"[::1]:50051", true},
		"https://localhost:1":            {"localhost:1", true},
		"http://LOCALHOST:1":             {"LOCALHOST:1", true},
		"http://[0:0:0:0:0:0:0:1]:1":     {"[0:0:0:0:0:0:0:1]:1", true},
		"http://[::ffff:127.0.0.1]:1":    {"[::ffff:127.0.0.1]:1", false},
		"http://0.0.0.0:1":               {"0.0.0.0:1", false},
		"http://127.0.0.1.example.com:1": {"127.0.0.1.example.com:1", false},
		"http://localhost.example.com:1": {"localhost.example.com:1", false},
		"https://10.0.0.1:65535":         {"10.0.0.1:65535", false},
		"http://[::]:1":                  {"[::]:1", false},
		"http://127.0.0.1@example.com:1": {},
		"http://example.com":             {},
		"http://example.com:":            {},
		"http://example.com:0":           {},
		"http://example.com:65536":       {},
		"http://:50051":                  {},
		"http://example.com:1/v1":        {},
		"http://example.com:1?":          {},
		"http://example.com:1#a":         {},
		"grpc://example.com:1":           {},
		"example.com:1":                  {},
		"http://one:1,http://two:1":      {},
		"":                               {},
	} {
		address, err := parseAddress(text)
		if expect.at == "" {
			if err == nil {
				t.Errorf("%q is %v", text, address)
			}
			continue
		}
		if err != nil || address.String() != expect.at || address.isLoopback() != expect.isLoopback {
			t.Errorf("%q is %v, %v", text, address, err)
		}
	}
}
