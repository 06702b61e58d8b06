package portcullis

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	// Health is asked at most once in this time, and has as long to answer, the connection included.
	checkInterval = time.Second
	// A check that ends later than this says nothing: this process was busy, not Portcullis.
	checkLate = 2 * time.Second
	// What a check found holds for this long.
	checkValid = 3 * time.Second
	// Health is asked for this long after the last failure.
	watchAfterFailure = 30 * time.Second
)

// readinessMonitor knows whether every replica is unready. It asks grpc.health.v1 in the background, and only for some
// time after a failure was reported.
type readinessMonitor struct {
	replicas []address
	options  []grpc.DialOption
	// Ends when the client is closed.
	open  context.Context
	close context.CancelFunc

	mu           sync.Mutex
	isWatching   bool
	watchUntil   time.Time
	unreadyUntil time.Time
}

// newReadinessMonitor makes one that connects with these options. Connections of its own: those of the client may be
// full of calls that wait.
func newReadinessMonitor(replicas []address, options ...grpc.DialOption) *readinessMonitor {
	open, stop := context.WithCancel(context.Background())
	return &readinessMonitor{replicas: replicas, options: options, open: open, close: stop}
}

// ReportFailure tells the client that a call to Portcullis failed in a way that an outage may be the cause of, and says
// whether every replica is known to be unready: unreachable, or not SERVING by its health check "readiness". It does not
// wait: a first failure has health asked in the background, once a second at most, for 30 s after the last one; until
// the first answer it says false. Guards use it.
func (c *Client) ReportFailure() (everyReplicaUnready bool) { return c.readiness.reportFailure() }

func (m *readinessMonitor) reportFailure() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.watchUntil = now.Add(watchAfterFailure)
	if !m.isWatching {
		m.isWatching = true
		go m.watch()
	}
	return now.Before(m.unreadyUntil)
}

// watch checks until there was no failure for a while, or the client is closed.
func (m *readinessMonitor) watch() {
	connections := map[replicaAddress]*grpc.ClientConn{}
	defer func() {
		for _, connection := range connections {
			_ = connection.Close()
		}
	}()
	for {
		start := time.Now()
		var unready bool
		unready, connections = m.check(connections)
		if !m.keepWatching(unready && time.Since(start) < checkLate) {
			return
		}
		select {
		case <-m.open.Done():
		case <-time.After(time.Until(start.Add(checkInterval))):
		}
	}
}

// keepWatching remembers what a check found, and says whether there is to be another.
func (m *readinessMonitor) keepWatching(unready bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unreadyUntil = time.Time{}
	if m.open.Err() != nil {
		return false
	}
	now := time.Now()
	if unready {
		m.unreadyUntil = now.Add(checkValid)
	}
	m.isWatching = now.Before(m.watchUntil)
	return m.isWatching
}

// replicaAddress is one address of a replica, and the name that its certificate must be for.
type replicaAddress struct {
	ip        netip.AddrPort
	authority string
}

// check asks every replica at once. It says whether none of them is ready, and gives back the connections for the next
// check.
func (m *readinessMonitor) check(old map[replicaAddress]*grpc.ClientConn) (bool, map[replicaAddress]*grpc.ClientConn) {
	replicas := m.lookUp()
	ctx, cancel := context.WithTimeout(m.open, checkInterval)
	defer cancel()
	connections := map[replicaAddress]*grpc.ClientConn{}
	for _, at := range replicas {
		connection, known := old[at]
		if !known {
			var err error
			options := append([]grpc.DialOption{grpc.WithAuthority(at.authority)}, m.options...)
			if connection, err = grpc.NewClient("passthrough:///"+at.ip.String(), options...); err != nil {
				continue
			}
		}
		delete(old, at)
		connections[at] = connection
	}
	for _, gone := range old {
		_ = gone.Close()
	}
	var isReady atomic.Bool
	var asking sync.WaitGroup
	for _, connection := range connections {
		asking.Go(func() {
			if isReplicaReady(ctx, connection) {
				isReady.Store(true)
				// One is enough.
				cancel()
			}
		})
	}
	asking.Wait()
	return !isReady.Load(), connections
}

// lookUp finds the addresses of all replicas. A name that has none is that of a replica which cannot be reached.
func (m *readinessMonitor) lookUp() []replicaAddress {
	// A name server that does not answer says nothing about Portcullis: the check is late then.
	ctx, cancel := context.WithTimeout(m.open, checkLate)
	defer cancel()
	var found []replicaAddress
	for _, replica := range m.replicas {
		port, err := net.DefaultResolver.LookupPort(ctx, "tcp", replica.port)
		if err != nil {
			continue
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", replica.host)
		if err != nil {
			continue
		}
		for _, ip := range ips {
			found = append(found, replicaAddress{netip.AddrPortFrom(ip.Unmap(), uint16(port)), replica.String()})
		}
	}
	return found
}

// isReplicaReady tells whether a replica is SERVING, or answers anything else than that it is not: an error of another
// kind is no outage.
func isReplicaReady(ctx context.Context, connection *grpc.ClientConn) bool {
	answer, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{Service: "readiness"})
	if err != nil {
		code := status.Code(err)
		return code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Canceled
	}
	return answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
}

// checkBackoff has a replica that is away looked for again by the next check.
var checkBackoff = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: checkInterval / 2},
	MinConnectTimeout: 5 * time.Second,
}
