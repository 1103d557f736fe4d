package awscredentials

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehousehq/gatehouse/internal/netguard"
)

// Metadata are services that hand out AWS credentials to what runs beside them.
// They are at addresses that nothing else here ever dials, so that each is asked
// only where whoever runs the server says so.
type Metadata struct {
	// Container is that of ECS tasks and EKS pods, where the environment names one.
	Container bool
	// Instance is that of EC2 machines.
	Instance bool
}

var (
	containerAddresses = []netip.Addr{
		netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"), netip.MustParseAddr("fd00:ec2::23"),
	}
	instanceAddresses = []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
)

// control lets the addresses of the services be dialled, and those of this machine
// itself, where agents take their place.
func (m Metadata) control(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errNotMetadata
	}
	a := at.Addr().WithZone("").Unmap()
	switch {
	case !m.Container && !m.Instance:
	case a.IsLoopback(), m.Container && slices.Contains(containerAddresses, a), m.Instance && slices.Contains(instanceAddresses, a):
		return nil
	}
	return errNotMetadata
}

var errNotMetadata = errors.Join(netguard.ErrRefused, errors.New("it is no metadata service that may be asked"))

// client asks the services, and can reach nothing else.
func (m Metadata) client() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Control = m.control }).
		WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })
}

// Check refuses credentials that the SDK would get by asking a service that is not
// allowed, by running a program, or by somebody's signing in. It goes by the same
// order as the SDK does.
func Check(sources []any, allowed Metadata) error {
	var env config.EnvConfig
	var shared config.SharedConfig
	for _, s := range sources {
		switch s := s.(type) {
		case config.EnvConfig:
			env = s
		case *config.EnvConfig:
			env = *s
		case config.SharedConfig:
			shared = s
		case *config.SharedConfig:
			shared = *s
		}
	}
	if env.Credentials.HasKeys() || env.WebIdentityTokenFilePath != "" {
		return nil
	}
	profile := &shared
	for profile.Source != nil { // a role that is taken on with the credentials of another profile
		profile = profile.Source
	}
	container := env.ContainerCredentialsRelativePath != "" || env.ContainerCredentialsEndpoint != ""
	switch {
	case profile.Credentials.HasKeys():
		return nil
	case profile.CredentialSource != "":
		if profile.CredentialSource == "EcsContainer" && container && allowed.Container || profile.CredentialSource == "Ec2InstanceMetadata" && allowed.Instance {
			return nil
		}
	case profile.WebIdentityTokenFile != "":
		return nil
	case signsIn(profile), profile.CredentialProcess != "":
	case container:
		if allowed.Container {
			return nil
		}
	case allowed.Instance:
		return nil
	}
	return errNoCredentials
}

// signsIn reports whether the credentials of a profile come of somebody's signing in.
func signsIn(p *config.SharedConfig) bool {
	return p.LoginSession != "" || p.SSOSessionName != "" || p.SSORegion != "" || p.SSOStartURL != "" || p.SSOAccountID != "" || p.SSORoleName != ""
}

var errNoCredentials = errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, put them into the shared credentials file, or give a web identity (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE); " +
	"credential_process and SSO are not used, nor metadata services of machines and containers that are not allowed")
