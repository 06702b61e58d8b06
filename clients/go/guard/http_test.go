package guard_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
	"github.com/portcullis/portcullis/clients/go/internal/testserver"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// createKey issues a key of user_1 with the scope orders:read.
func createKey(t *testing.T, client *portcullis.Client) *portcullisv1.CreateApiKeyResponse {
	t.Helper()
	claims, err := structpb.NewStruct(map[string]any{"plan": "pro", "seats": 3})
	if err != nil {
		t.Fatal(err)
	}
	created, err := client.ApiKeys().CreateApiKey(t.Context(), &portcullisv1.CreateApiKeyRequest{
		Name: "test", Subject: "user_1", Scopes: []string{"orders:read"}, Claims: claims,
	})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestOverHTTP(t *testing.T) {
	client := newClient(t, "http://"+testserver.Start(t))
	created := createKey(t, client)

	whoAsks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := guard.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, i.Authenticated, i.KeyID == created.GetApiKey().GetId(), i.Keyspace, i.Subject, i.UserID(),
			i.OrgID(), i.Scopes, i.Claims, i.ExpireTime.IsZero(), i.RateLimit, i.CreditsRemaining)
	})
	routes := http.NewServeMux()
	routes.Handle("/read", guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:read"}}).Handler(whoAsks))
	routes.Handle("/write", guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:write"}}).Handler(whoAsks))
	server := httptest.NewServer(routes)
	defer server.Close()

	get := func(path, key string) (*http.Response, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-API-Key", key)
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}

	const seen = "true true default user_1 user_1  [orders:read] map[plan:pro seats:3] true <nil> <nil>\n"
	if response, body := get("/read", created.GetSecret()); response.StatusCode != 200 || body != seen {
		t.Error(response.Status, body)
	}
	for path, expect := range map[string]struct {
		key, code string
		status    int
	}{
		"/read":  {"", "missing_key", 401},
		"/read?": {"hello", "invalid_key", 401},
		"/write": {created.GetSecret(), "insufficient_scope", 403},
	} {
		response, body := get(path, expect.key)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Error(err)
		}
		if response.StatusCode != expect.status || answer.Error != expect.code {
			t.Error(path, response.Status, body)
		}
	}
}
