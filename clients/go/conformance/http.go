package main

import (
	"log"
	"net/http"

	"github.com/portcullis/portcullis/clients/go/guard"
)

// serveHTTP serves a route for each profile, on one port.
func serveHTTP(guards map[string]*guard.Guard) (map[string]string, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	addresses, routes := map[string]string{}, http.NewServeMux()
	for profile, guard := range guards {
		routes.Handle("/"+profile, guard.Handler(http.HandlerFunc(whoAsks)))
		addresses[profile] = "http://" + listener.Addr().String() + "/" + profile
	}
	go func() { log.Fatal(http.Serve(listener, routes)) }()
	return addresses, nil
}

func whoAsks(w http.ResponseWriter, r *http.Request) {
	identity, err := asJSON(guard.FromContext(r.Context()))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(identity)
}
