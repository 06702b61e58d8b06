package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Handler guards next: what is let through has an identity in its request's context, which [FromContext] reads.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, refused := g.check(
			r.Context(), r.Header["Authorization"], r.Header["X-Api-Key"], g.options.ClientIP(r))
		if refused != nil {
			refused.write(w, g.options.Realm)
			return
		}
		next.ServeHTTP(w, r.WithContext(withIdentity(r.Context(), identity)))
	})
}

func (refused *refusal) write(w http.ResponseWriter, realm string) {
	body, err := json.Marshal(struct {
		Error         string   `json:"error"`
		Message       string   `json:"message"`
		MissingScopes []string `json:"missing_scopes,omitempty"`
	}{refused.code, refused.message, refused.missingScopes})
	if err != nil {
		panic(err) // strings are always JSON
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if refused.status == http.StatusUnauthorized || refused.challenge != "" {
		header.Set("WWW-Authenticate", refused.challengeFor(realm))
	}
	if refused.retryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(refused.retryAfter, 10))
	}
	w.WriteHeader(refused.status)
	// There is nobody to tell when the caller has gone.
	_, _ = w.Write(body)
}

// challengeFor is WWW-Authenticate as RFC 6750 has it.
func (refused *refusal) challengeFor(realm string) string {
	challenge := "Bearer realm=" + quoted(realm)
	if refused.challenge != "" {
		challenge += fmt.Sprintf(", error=%s, error_description=%s", quoted(refused.challenge), quoted(refused.message))
	}
	if len(refused.missingScopes) > 0 {
		challenge += ", scope=" + quoted(strings.Join(refused.missingScopes, " "))
	}
	return challenge
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoted is a quoted-string of RFC 9110.
func quoted(text string) string { return `"` + escapes.Replace(text) + `"` }
