// Command conformance is a server with a route, or a port, for each profile of the conformance table.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
)

// stage is what the file that PORTCULLIS_STAGE names holds.
type stage struct {
	Servers map[string]struct {
		Addresses []string `json:"addresses"`
		RootKey   string   `json:"root_key"`
		TimeoutMs int64    `json:"timeout_ms"`
	} `json:"servers"`
	Profiles      map[string]profile `json:"profiles"`
	InvalidGuards map[string]profile `json:"invalid_guards"`
}

type profile struct {
	Server                          string   `json:"server"`
	Scopes                          []string `json:"scopes"`
	AnyOfScopes                     []string `json:"any_of_scopes"`
	Keyspace                        string   `json:"keyspace"`
	Cost                            *int64   `json:"cost"`
	DangerouslyAllowWhenUnavailable bool     `json:"dangerously_allow_when_unavailable"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: conformance http|grpc")
	}
	guards, guardErrors, err := readGuards(os.Getenv("PORTCULLIS_STAGE"))
	if err != nil {
		log.Fatal(err)
	}
	serve := map[string]func(map[string]*guard.Guard) (map[string]string, error){"http": serveHTTP, "grpc": serveGRPC}
	addresses, err := serve[os.Args[1]](guards)
	if err != nil {
		log.Fatal(err)
	}
	said := map[string]any{"invalid_guards": guardErrors}
	for name, address := range addresses {
		said[name] = address
	}
	line, err := json.Marshal(said)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// readGuards makes one guard a profile, over one client a server. It also returns the error of each guard that is invalid.
func readGuards(file string) (map[string]*guard.Guard, map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	var stage stage
	if err := json.Unmarshal(text, &stage); err != nil {
		return nil, nil, err
	}
	clients := map[string]*portcullis.Client{}
	for name, server := range stage.Servers {
		clients[name], err = portcullis.New(
			portcullis.WithAddresses(server.Addresses...),
			portcullis.WithRootKey(server.RootKey),
			portcullis.WithTimeout(time.Duration(server.TimeoutMs)*time.Millisecond),
		)
		if err != nil {
			return nil, nil, fmt.Errorf("server %s: %w", name, err)
		}
	}
	guards := map[string]*guard.Guard{}
	for name, profile := range stage.Profiles {
		guards[name] = newGuard(clients[profile.Server], profile)
	}
	guardErrors := map[string]any{}
	for name, profile := range stage.InvalidGuards {
		func() {
			defer func() { guardErrors[name] = recover() }()
			newGuard(clients["main"], profile)
		}()
	}
	return guards, guardErrors, nil
}

func newGuard(client *portcullis.Client, profile profile) *guard.Guard {
	return guard.New(client, guard.Options{
		Scopes:                          profile.Scopes,
		AnyOfScopes:                     profile.AnyOfScopes,
		Keyspace:                        profile.Keyspace,
		Cost:                            profile.Cost,
		DangerouslyAllowWhenUnavailable: profile.DangerouslyAllowWhenUnavailable,
	})
}

// asJSON is an identity as the table has it.
func asJSON(identity *guard.Identity) ([]byte, error) {
	orNull := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	scopes, claims := identity.Scopes, identity.Claims
	if scopes == nil {
		scopes = []string{}
	}
	if claims == nil {
		claims = map[string]any{}
	}
	return json.Marshal(map[string]any{
		"authenticated": identity.Authenticated,
		"key_id":        orNull(identity.KeyID),
		"keyspace":      orNull(identity.Keyspace),
		"subject":       orNull(identity.Subject),
		"user_id":       orNull(identity.UserID()),
		"org_id":        orNull(identity.OrgID()),
		"scopes":        scopes,
		"claims":        claims,
	})
}

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
