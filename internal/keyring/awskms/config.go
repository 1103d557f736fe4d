package awskms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/netguard"
)

// newHTTPClient returns a client that dials as the gateway does: no proxy, and no
// address that a metadata service is at.
func newHTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Control = netguard.Policy{}.Control }).
		WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })
}

func newKey(ctx context.Context, name string, client aws.HTTPClient) (*key, error) {
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Second })
		}),
	}
	if a, err := arn.Parse(name); err == nil {
		if a.Service != "kms" || a.Region == "" {
			return nil, errors.New("it is the ARN of something else than a key of KMS")
		}
		options = append(options, config.WithRegion(a.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("settings of AWS: %s", plain(err.Error()))
	}
	if cfg.Region == "" {
		return nil, errors.New("no region: set AWS_REGION, or give the ARN of the key")
	}
	if err := awscredentials.Check(cfg.ConfigSources, awscredentials.Metadata{}); err != nil {
		return nil, err
	}
	k := &key{client: kms.NewFromConfig(cfg), where: "AWS KMS in " + cfg.Region}
	if endpoint := k.client.Options().BaseEndpoint; endpoint != nil {
		u, err := url.Parse(*endpoint)
		if err != nil {
			return nil, errors.New("AWS_ENDPOINT_URL_KMS is not a URL") // not with the error, which repeats it
		}
		k.where += " at " + u.Redacted()
	}
	return k, nil
}
