// Package portcullis calls Portcullis, a self-hosted API-key service.
//
// A [Client] gives the stubs of every service, which are in package portcullisv1, with the root key and a deadline in
// each call. To guard an API with it, see package guard.
package portcullis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	portcullisv1 "github.com/portcullis/portcullis/clients/go/portcullis/v1"
)

// serviceConfig says which replica is called, and what is tried again when.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.05s",
      "maxBackoff": "0.5s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// Client calls one Portcullis, of one replica or several. It may be used by many goroutines at once; a program needs
// one.
type Client struct {
	conn      *grpc.ClientConn
	readiness *readinessMonitor
}

// New makes a client, as [Option]s and the environment say. It connects with the first call. The error says which
// option is missing or wrong, and never shows the root key.
func New(options ...Option) (*Client, error) {
	config := config{rootKey: os.Getenv("PORTCULLIS_ROOT_KEY"), timeout: DefaultTimeout}
	for _, option := range options {
		option(&config)
	}
	if err := config.takeEnvironment(); err != nil {
		return nil, err
	}
	replicas, err := config.replicas()
	if err != nil {
		return nil, err
	}
	isTLS := replicas[0].tls
	rootKey, err := newRootKey(config.rootKey, isTLS)
	if err != nil {
		return nil, err
	}
	transport, err := config.transport(isTLS)
	if err != nil {
		return nil, err
	}
	if config.timeout <= 0 || config.timeout > timeoutMax {
		return nil, errors.New("portcullis: WithTimeout: must be more than 0 and at most a day")
	}
	target, resolver := target(replicas)
	conn, err := grpc.NewClient(target, resolver, proxy(isTLS),
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(rootKey),
		grpc.WithUnaryInterceptor(defaultDeadline(config.timeout)),
		grpc.WithDefaultServiceConfig(serviceConfig),
		// A name server must not change what is retried.
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		// gRPC by itself would look for a server that was long away once in two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithUserAgent(userAgent),
	)
	if err != nil {
		return nil, fmt.Errorf("portcullis: %w", err)
	}
	readiness := newReadinessMonitor(replicas, proxy(isTLS),
		grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(checkBackoff),
		grpc.WithUserAgent(userAgent),
	)
	return &Client{conn, readiness}, nil
}

// proxy says whether the proxies of the environment are used. One could read what is not encrypted, the root key too.
func proxy(isTLS bool) grpc.DialOption {
	if isTLS {
		return grpc.EmptyDialOption{}
	}
	return grpc.WithNoProxy()
}

// Version is that of this module.
const Version = "0.1.0"

const userAgent = "portcullis-go/" + Version

// Close ends the connections, and calls that are under way with CANCELLED.
func (c *Client) Close() error {
	c.readiness.close()
	return c.conn.Close()
}

// Verification verifies keys: the hot path.
func (c *Client) Verification() portcullisv1.VerificationServiceClient {
	return portcullisv1.NewVerificationServiceClient(c.conn)
}

// ApiKeys issues, lists, changes, rotates and revokes keys.
func (c *Client) ApiKeys() portcullisv1.ApiKeyServiceClient {
	return portcullisv1.NewApiKeyServiceClient(c.conn)
}

// Keyspaces makes, lists, changes and deletes keyspaces.
func (c *Client) Keyspaces() portcullisv1.KeyspaceServiceClient {
	return portcullisv1.NewKeyspaceServiceClient(c.conn)
}

// Audit lists what was changed, by whom.
func (c *Client) Audit() portcullisv1.AuditServiceClient {
	return portcullisv1.NewAuditServiceClient(c.conn)
}

// Usage tells what keys did.
func (c *Client) Usage() portcullisv1.UsageServiceClient {
	return portcullisv1.NewUsageServiceClient(c.conn)
}

// Replicas lists the replicas.
func (c *Client) Replicas() portcullisv1.ReplicaServiceClient {
	return portcullisv1.NewReplicaServiceClient(c.conn)
}

// defaultDeadline gives a deadline to a call that has none. Streams go without: they last as long as their caller
// likes.
func defaultDeadline(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
		options ...grpc.CallOption,
	) error {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return invoke(ctx, method, request, reply, conn, options...)
	}
}
