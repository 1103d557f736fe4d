package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// authorise puts the credential into the headers: a signature of a pair, or the
// key as it is. A request without one goes out without.
func authorise(ctx context.Context, o *upstream.Outgoing, key, session secret.Text, region string) error {
	if key.IsZero() {
		return nil
	}
	id, secretKey, pair := strings.Cut(key.Reveal(), ":")
	if !pair {
		o.Header["Authorization"] = []string{"Bearer " + key.Reveal()}
		return nil
	}
	// Only what is needed is signed: what passes on the way may touch the rest.
	r := &http.Request{Method: o.Method, URL: o.URL, Host: o.URL.Host, Header: http.Header{}, ContentLength: int64(len(o.Body))}
	if v := o.Header["Content-Type"]; len(v) > 0 {
		r.Header["Content-Type"] = v[:1]
	}
	sum := sha256.Sum256(o.Body)
	credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: secretKey, SessionToken: session.Reveal()}
	// A signer for each: one remembers what it derived of a secret by the id alone,
	// and would go on signing with a secret that was mistyped and put right.
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), service(o.URL.Host), region, o.Now); err != nil {
		return err
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		if v, ok := r.Header[name]; ok {
			o.Header[name] = v
		}
	}
	return nil
}

// service returns the name that requests to the host are signed for.
func service(host string) string {
	if strings.HasPrefix(host, "bedrock-mantle.") {
		return "bedrock-mantle"
	}
	return "bedrock"
}
