package portcullis

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// address is where a replica listens.
type address struct {
	host, port string
	tls        bool
}

// parseAddress reads http://HOST:PORT or https://HOST:PORT. Its error does not show the text, which may be a secret in
// the wrong place.
func parseAddress(text string) (address, error) {
	wrong := errors.New("must be http://HOST:PORT or https://HOST:PORT and nothing else")
	if strings.HasPrefix(text, "dns:") {
		return address{}, errors.New("must be http://HOST:PORT or https://HOST:PORT, not a target of gRPC (dns:///): all " +
			"addresses of the name are used all the same")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return address{}, wrong
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return address{}, wrong
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 || u.Hostname() == "" {
		return address{}, wrong
	}
	return address{host: u.Hostname(), port: u.Port(), tls: u.Scheme == "https"}, nil
}

func (a address) String() string { return net.JoinHostPort(a.host, a.port) }

// isLoopback tells whether what is sent there stays on this machine.
func (a address) isLoopback() bool {
	ip, _ := netip.ParseAddr(a.host)
	// IPv4 written as IPv6 would be a loopback to netip as well.
	return strings.EqualFold(a.host, "localhost") || ip.Is4() && ip.IsLoopback() || ip == netip.IPv6Loopback()
}

// target is how gRPC finds the replicas: all that the name server knows of one name, or all that are listed.
func target(replicas []address) (string, grpc.DialOption) {
	if len(replicas) == 1 {
		// The zone of an IPv6 address begins with a per cent sign.
		return "dns:///" + url.PathEscape(replicas[0].String()), grpc.EmptyDialOption{}
	}
	list := manual.NewBuilderWithScheme("replicas")
	var state resolver.State
	for _, replica := range replicas {
		// The server name is what a certificate must be for.
		at := resolver.Address{Addr: replica.String(), ServerName: replica.String()}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{at}})
	}
	list.InitialState(state)
	return "replicas:///portcullis", grpc.WithResolvers(list)
}
