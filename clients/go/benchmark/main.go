// Command benchmark measures the time that a guard takes against that of the stub's Verify alone, in turns.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	portcullis "github.com/portcullis/portcullis/clients/go"
	"github.com/portcullis/portcullis/clients/go/guard"
	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

const (
	warmUp        = 1000
	rounds        = 1000
	callsPerRound = 20
)

func main() {
	log.SetFlags(0)
	key := os.Getenv("PORTCULLIS_BENCH_KEY")
	if key == "" {
		log.Fatal("benchmark: PORTCULLIS_BENCH_KEY must be a key")
	}
	stub, err := byStub(key)
	if err != nil {
		log.Fatal(err)
	}
	guarded, err := byGuard(key)
	if err != nil {
		log.Fatal(err)
	}
	measure(stub, warmUp)
	measure(guarded, warmUp)
	var ofStub, ofGuard []time.Duration
	for range rounds {
		ofStub = append(ofStub, measure(stub, callsPerRound)...)
		ofGuard = append(ofGuard, measure(guarded, callsPerRound)...)
	}
	slices.Sort(ofStub)
	slices.Sort(ofGuard)
	stubTakes, guardTakes := ofStub[len(ofStub)/2], ofGuard[len(ofGuard)/2]
	fmt.Printf("%d calls each, medians: stub %v, guard %v; guard/stub %.3f\n",
		len(ofStub), stubTakes, guardTakes, float64(guardTakes)/float64(stubTakes))
}

// measure takes the time of each of some calls.
func measure(call func(), calls int) []time.Duration {
	took := make([]time.Duration, calls)
	for i := range took {
		start := time.Now()
		call()
		took[i] = time.Since(start)
	}
	return took
}

// byStub verifies with the generated stub and nothing else, with a deadline as every call should have.
func byStub(key string) (func(), error) {
	server := cmp.Or(os.Getenv("PORTCULLIS_SERVER"), portcullis.DefaultAddress)
	conn, err := grpc.NewClient(strings.TrimPrefix(server, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	stub := portcullisv1.NewVerificationServiceClient(conn)
	rootKey := metadata.Pairs("authorization", "Bearer "+os.Getenv("PORTCULLIS_ROOT_KEY"))
	caller := metadata.NewOutgoingContext(context.Background(), rootKey)
	return func() {
		ctx, cancel := context.WithTimeout(caller, portcullis.DefaultTimeout)
		defer cancel()
		request := &portcullisv1.VerifyRequest{
			Key: key, RequiredScopes: []string{"orders:read"}, ClientIp: "127.0.0.1",
		}
		if answer, err := stub.Verify(ctx, request); err != nil || !answer.GetValid() {
			log.Fatal("benchmark: the stub does not verify PORTCULLIS_BENCH_KEY: ", answer.GetVerdict(), " ", err)
		}
	}, nil
}

// byGuard sends a request through a guard, without a web server.
func byGuard(key string) (func(), error) {
	client, err := portcullis.New()
	if err != nil {
		return nil, err
	}
	passed := 0
	route := guard.New(client, guard.Options{Keyspace: "default", Scopes: []string{"orders:read"}}).Handler(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	request, err := http.NewRequest(http.MethodGet, "/orders", nil)
	if err != nil {
		return nil, err
	}
	request.RemoteAddr = "127.0.0.1:1234"
	request.Header.Set("Authorization", "Bearer "+key)
	return func() {
		before := passed
		route.ServeHTTP(&unread{header: http.Header{}}, request)
		if passed == before {
			log.Fatal("benchmark: the guard does not let PORTCULLIS_BENCH_KEY through")
		}
	}, nil
}

// unread is an answer that nobody reads.
type unread struct{ header http.Header }

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(int)             {}
