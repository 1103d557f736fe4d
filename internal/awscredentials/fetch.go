package awscredentials

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

// maxAnswer is how much of an answer of STS is read.
const maxAnswer = 1 << 20

// A client sends what the SDK sends by the way of a provider.
type client struct {
	send func(*http.Request, *transport.Egress) (*http.Response, error)
	via  *transport.Egress
}

// Do implements [aws.HTTPClient].
func (c client) Do(r *http.Request) (*http.Response, error) {
	res, err := c.send(r, c.via)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}

// takeOver has a client of the SDK send by the way of a provider.
func (c client) takeOver(stack *middleware.Stack) error {
	send := smithyhttp.NewClientHandlerWithOptions(c)
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("gatehouse", func(ctx context.Context, in middleware.DeserializeInput, _ middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		res, metadata, err := send.Handle(ctx, in.Request)
		return middleware.DeserializeOutput{RawResponse: res}, metadata, err
	}), middleware.After)
}

// newRetryer tries again twice, soon: the Keeper goes on for longer.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Second })
}

// fetch gets the credentials that spec asks for. Nothing is kept between one time
// and the next, so files are read again, and what they say counts.
func (k *Keeper) fetch(ctx context.Context, spec *Spec) (aws.Credentials, error) {
	cfg, err := k.base(ctx, spec)
	if err != nil {
		return aws.Credentials{}, err
	}
	if spec.RoleARN == "" {
		return cfg.Credentials.Retrieve(ctx)
	}
	out, err := sts.NewFromConfig(cfg).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(spec.RoleARN), RoleSessionName: aws.String(sessionName(spec.Provider)),
	})
	if err != nil {
		return aws.Credentials{}, err
	}
	if out.Credentials == nil || out.Credentials.Expiration == nil || aws.ToString(out.Credentials.AccessKeyId) == "" {
		return aws.Credentials{}, errStrange
	}
	return aws.Credentials{
		AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: aws.ToString(out.Credentials.SecretAccessKey),
		SessionToken: aws.ToString(out.Credentials.SessionToken), CanExpire: true, Expires: *out.Credentials.Expiration,
	}, nil
}

var (
	errStrange = errors.New("STS answers with something else than credentials")
	errEnded   = errors.New("what AWS gives has ended already: is the clock of this machine right?")
)

// sessionName is what AWS's own log calls the provider. It takes at most 64
// characters, and names of providers have none that it does not take.
func sessionName(provider string) string {
	name := "gatehouse-" + provider
	return strings.TrimRight(name[:min(len(name), 64)], "-")
}

// base returns a configuration of the SDK with the credentials that there are
// before a role is assumed.
func (k *Keeper) base(ctx context.Context, spec *Spec) (aws.Config, error) {
	by := client{k.cfg.RoundTrip, spec.Egress}
	if id, key, ok := strings.Cut(spec.Pair.Reveal(), ":"); ok {
		env, err := config.NewEnvConfig() // where STS is, if not where it usually is
		return aws.Config{
			Region: spec.Region, HTTPClient: by, Retryer: newRetryer, ConfigSources: []any{env},
			Credentials: credentials.NewStaticCredentialsProvider(id, key, ""),
		}, err
	}
	state := imds.ClientDisabled
	if k.cfg.Metadata.Instance {
		state = imds.ClientEnabled
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(spec.Region), config.WithRetryer(newRetryer),
		// AWS_CA_BUNDLE is only for a client of the SDK's own, which would have no way of
		// ours. So it has one, which dials nothing.
		config.WithHTTPClient(Metadata{}.client()), config.WithAPIOptions([]func(*middleware.Stack) error{by.takeOver}),
		config.WithDefaultsMode(aws.DefaultsModeStandard), // another would ask the machine where it is
		config.WithEC2IMDSClientEnableState(state),
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = k.instance(state) }),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient, o.APIOptions = k.metadata, nil }),
	)
	if err != nil {
		return aws.Config{}, err
	}
	return cfg, Check(cfg.ConfigSources, k.cfg.Metadata)
}

// instance asks the metadata service of a machine, by its second version alone: the
// first answers whoever can make this server send a GET.
func (k *Keeper) instance(state imds.ClientEnableState) *imds.Client {
	var sources []any
	if env, err := config.NewEnvConfig(); err == nil { // it may name another address of this machine's
		sources = []any{env}
	}
	return imds.NewFromConfig(aws.Config{HTTPClient: k.metadata, Retryer: newRetryer, ConfigSources: sources}, func(o *imds.Options) {
		o.EnableFallback, o.ClientEnableState = aws.FalseTernary, state
	})
}
