package settings

import (
	"regexp"
	"slices"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// TypeBedrock is the _type of [Bedrock].
const TypeBedrock = "bedrock"

// Bedrock are the settings of a provider that is reached through Amazon Bedrock.
//
// Its requests are signed with one of: the pair of AccessKey and
// AccessKeySecret; what the server finds where it runs, if Ambient; or provider
// keys, which are pairs ACCESS_KEY_ID:SECRET or Bedrock API keys.
type Bedrock struct {
	Region string
	// Model and SmallFastModel are ids or ARNs of models or inference profiles.
	Model, SmallFastModel string
	// AccessKey and AccessKeySecret are set both or neither.
	AccessKey, AccessKeySecret secret.Text
	// RoleARN is the role to assume with the pair or what is ambient; "" is none.
	RoleARN string
	// Ambient is whether the server's own AWS credentials are used: those of its
	// instance, container or environment.
	Ambient bool
	Common
}

// The longest role and model ids that AWS has are of 2048 characters, access
// key ids of 128:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html,
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html,
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html.
func (b *Bedrock) fields() []field {
	own := []field{
		{name: "region", value: &b.Region, max: 32},
		{name: "model", value: &b.Model, max: 2048},
		{name: "small_fast_model", value: &b.SmallFastModel, max: 2048},
		{name: "access_key", value: &b.AccessKey, max: 128},
		{name: "access_key_secret", value: &b.AccessKeySecret, max: 256},
		{name: "role_arn", value: &b.RoleARN, max: 2048},
		{name: "ambient", value: &b.Ambient},
	}
	return append(own, b.Common.fields()...)
}

var (
	// The SDKs of AWS tell regions by such patterns, one for each partition:
	// us-east-1, us-gov-west-1, us-isob-east-1, eusc-de-east-1. A region becomes a
	// part of a host name, so it must be able to be nothing else.
	awsRegion = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
	awsRole = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+$`)
	// Neither part of a pair has a space or a colon in it, nor has an API key.
	awsKey = regexp.MustCompile(`^[!-9;-~]+(:[!-9;-~]+)?$`)
)

// check holds that there is one source of credentials: which of two is used, and
// whose account is billed, must not be a matter of order. A role is not assumed
// with provider keys, of which there are several to fail over: as one role they
// would share its account and quota.
func (b *Bedrock) check(kept []string) (credentials bool, err error) {
	keeps := func(name string) bool { return slices.Contains(kept, name) }
	pair := !b.AccessKey.IsZero() || keeps("access_key")
	switch {
	case b.Region == "":
		err = &FieldError{"region", "is required: the AWS region, such as eu-central-1"}
	case !awsRegion.MatchString(b.Region):
		err = &FieldError{"region", "must be the code of an AWS region, such as eu-central-1"}
	case b.AccessKey.IsZero() != b.AccessKeySecret.IsZero() || keeps("access_key") != keeps("access_key_secret"):
		err = &FieldError{"access_key_secret", "comes as a pair with access_key: give both, leave out both to keep them, or clear both"}
	case b.Ambient && pair:
		err = &FieldError{"ambient", "cannot be true beside an access key: clear access_key and access_key_secret, or leave it false"}
	case b.RoleARN != "" && !awsRole.MatchString(b.RoleARN):
		err = &FieldError{"role_arn", "must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/NAME"}
	case b.RoleARN != "" && !b.Ambient && !pair:
		err = &FieldError{"role_arn", "needs something to assume the role with: access_key and access_key_secret, or ambient"}
	}
	return pair || b.Ambient, err
}

func (*Bedrock) keys() KeyForm {
	return KeyForm{"ACCESS_KEY_ID:SECRET or an Amazon Bedrock API key", awsKey}
}

// Pair returns the pair as a provider key has it; zero if there is none.
func (b *Bedrock) Pair() secret.Text {
	if b.AccessKey.IsZero() {
		return secret.Text{}
	}
	return secret.New(b.AccessKey.Reveal() + ":" + b.AccessKeySecret.Reveal())
}

// Headers implements [Fields]: there are none.
func (*Bedrock) Headers() map[string]string { return nil }
