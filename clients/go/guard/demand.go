package guard

import (
	"errors"
	"fmt"
	"regexp"
)

// AnyKeyspace, as [Options].Keyspace, lets the keys of every keyspace pass that the client's root key may verify in.
const AnyKeyspace = "*"

const (
	scopesMax = 100
	// What the server takes for a scope, with scopeForm.
	scopeLenMax = 128
	costMax     = 1_000_000_000
)

var (
	keyspaceForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	scopeForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9_.:/-]*\*?$`)
)

// check says what of the options no server would take. A guard that asked for it would answer 503 to every request.
func (o *Options) check() error {
	switch {
	case o.Keyspace == "":
		return errors.New("keyspace is missing: name the keyspace whose keys may pass, such as \"default\", or " +
			"guard.AnyKeyspace for every keyspace that the root key may verify in")
	case o.Keyspace != AnyKeyspace && !keyspaceForm.MatchString(o.Keyspace):
		return fmt.Errorf("keyspace %q is not the id of a keyspace: must match [a-z][a-z0-9-]{0,39}", o.Keyspace)
	case o.Cost != nil && (*o.Cost < 0 || *o.Cost > costMax):
		return fmt.Errorf("cost must be 0 to %d; is %d", costMax, *o.Cost)
	}
	if err := checkScopes("scopes", o.Scopes, o.Keyspace); err != nil {
		return err
	}
	return checkScopes("any_of_scopes", o.AnyOfScopes, o.Keyspace)
}

func checkScopes(field string, scopes []string, keyspace string) error {
	if len(scopes) > scopesMax {
		return fmt.Errorf("%s must be at most %d; are %d", field, scopesMax, len(scopes))
	}
	if keyspace == systemKeyspace {
		return nil
	}
	for i, scope := range scopes {
		if len(scope) > scopeLenMax || !scopeForm.MatchString(scope) {
			return fmt.Errorf("%s[%d] %q is not a scope: must be 1 to %d of [a-z0-9_.:/-], start with a letter or digit, "+
				"and may have `*` at its end only", field, i, scope, scopeLenMax)
		}
	}
	return nil
}

// systemKeyspace has the root keys. Their scopes are permissions, whose names and form the server alone knows.
const systemKeyspace = "system"
