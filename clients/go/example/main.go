// Command example is an API with one guarded route.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
)

func main() {
	client, err := portcullis.New()
	if err != nil {
		log.Fatal(err)
	}
	read := guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:read"}})

	routes := http.NewServeMux()
	routes.Handle("GET /orders", read.Handler(http.HandlerFunc(orders)))

	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8080"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, routes))
}

func orders(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"subject": guard.FromContext(r.Context()).Subject,
		"orders":  []map[string]any{{"id": 1, "item": "lamp"}, {"id": 2, "item": "chair"}},
	})
}
