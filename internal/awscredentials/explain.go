package awscredentials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"

	"github.com/aws/smithy-go"

	"github.com/gatehousehq/gatehouse/internal/netguard"
)

// maxSaid is how many characters are taken of what AWS says.
const maxSaid = 300

// A reason is why there are no credentials: for whoever sees the provider, and in
// detail, with accounts and addresses, for the log.
type reason struct{ problem, detail string }

// explain says what an error means and what to do.
func explain(ctx context.Context, err error) reason {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		problem := fmt.Sprintf("AWS gives it no credentials (%s): %s", plain(api.ErrorCode()), advice(api.ErrorCode()))
		return reason{problem, problem + "; it says: " + plain(api.ErrorMessage())}
	}
	for _, own := range []error{errNoCredentials, errStrange, errEnded} {
		if errors.Is(err, own) {
			problem := "it has no AWS credentials: " + own.Error()
			return reason{problem, problem}
		}
	}
	var problem string
	switch {
	case errors.Is(err, netguard.ErrRefused):
		problem = "it has no AWS credentials: the address where they would be asked for is not one that may be dialled"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		problem = "it has no AWS credentials: there was no answer in time where they were asked for"
	default:
		problem = "it has no AWS credentials: they cannot be read, or asked for; the log of the server has more"
	}
	return reason{problem, problem + "; " + plain(cause(err).Error())}
}

// advice says what to do at an error of STS.
func advice(code string) string {
	switch code {
	case "AccessDenied", "AccessDeniedException":
		return "the role does not exist, its trust policy does not name whoever assumes it, or they lack sts:AssumeRole on it"
	case "ExpiredToken", "ExpiredTokenException":
		return "the credentials to ask with have expired"
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidIdentityToken":
		return "the credentials to ask with are not taken"
	case "SignatureDoesNotMatch", "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed":
		return "the secret to ask with is wrong, or the clock of this machine is"
	case "IDPCommunicationError":
		return "it cannot reach who issued the web identity"
	case "RegionDisabledException":
		return "STS is not active in the region for the account"
	case "Throttling", "ThrottlingException", "RequestLimitExceeded":
		return "it has had too many requests"
	}
	return "it refuses"
}

// cause leaves out what the SDK says around an error: which of its parts it was,
// and how often it tried.
func cause(err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok { // it has the address
		return dial
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Unwrap()
	}
	return err
}

// plain returns what may be shown of a text from elsewhere.
func plain(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > maxSaid {
		s = string(r[:maxSaid]) + "…"
	}
	return s
}
