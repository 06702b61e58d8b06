package portcullis

import (
	"context"
	"errors"
	"strings"
)

// rootKey sends the root key with each call. The key is in a closure, where nothing that prints values finds it.
type rootKey struct {
	metadata func() map[string]string
	tls      bool
}

// newRootKey takes a key, and blanks and line ends around it as a file may have them. With tls it is sent over TLS
// only.
func newRootKey(key string, tls bool) (rootKey, error) {
	key = strings.TrimSpace(key)
	if key == "" {
		return rootKey{}, errors.New("portcullis: no root key: set PORTCULLIS_ROOT_KEY, or give WithRootKey")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return rootKey{}, errors.New("portcullis: the root key has characters that no key has")
	}
	metadata := map[string]string{"authorization": "Bearer " + key}
	return rootKey{func() map[string]string { return metadata }, tls}, nil
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (k rootKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return k.metadata(), nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (k rootKey) RequireTransportSecurity() bool { return k.tls }
