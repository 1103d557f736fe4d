package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
)

var b64 = base64.RawURLEncoding

func random() string { return rand.Text() }

// keys are those of a provider, and others that are nobody's.
type keys struct {
	rsa, otherRSA *rsa.PrivateKey
	ec, otherEC   *ecdsa.PrivateKey
}

// rsaKeys are made once: that takes long.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey { return [2]*rsa.PrivateKey{newRSA(), newRSA()} })

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // of random bytes that run out
	}
	return k
}

func newEC() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func newKeys() keys {
	pair := rsaKeys()
	return keys{rsa: pair[0], otherRSA: pair[1], ec: newEC(), otherEC: newEC()}
}

// public returns the JWKS.
func (k keys) public() any {
	point, err := k.ec.PublicKey.Bytes() // 4, and the two coordinates
	if err != nil {
		panic(err)
	}
	return map[string]any{"keys": []any{
		map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa", "n": b64.EncodeToString(k.rsa.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(k.rsa.E)).Bytes())},
		map[string]string{"kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec", "crv": "P-256", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])},
	}}
}

// sign returns a JWT in compact form.
func (k keys) sign(algorithm string, claims map[string]any, otherKey bool) string {
	key, ec := k.rsa, k.ec
	if otherKey {
		key, ec = k.otherRSA, k.otherEC
	}
	header := map[string]string{"alg": algorithm, "typ": "JWT", "kid": "rsa"}
	if algorithm == "ES256" {
		header["kid"] = "ec"
	}
	signed := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	switch algorithm {
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	case "ES256":
		r, s, signErr := ecdsa.Sign(rand.Reader, ec, sum[:])
		if signErr == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
		err = signErr
	case "HS256": // by what everybody knows, the public key
		mac := hmac.New(sha256.New, k.rsa.N.Bytes())
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	if err != nil {
		panic(err)
	}
	return signed + "." + b64.EncodeToString(signature)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64.EncodeToString(b)
}
