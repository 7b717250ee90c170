package authclient

import (
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	largestToken  = 8192
	largestHeader = 1024
)

// Parameters that would bring in a key from outside, another kind or encoding of payload, or encryption. None is ever
// honoured, and a token of ours never carries one.
var foreignParameters = []string{"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64", "cty", "zip", "enc"}

// check is the rule by which an access token is believed. No I/O and no clock: the keys and the time are arguments.
//
// Order matters. Nothing but the header is parsed before the signature holds, and the header only picks a key from the
// set: the algorithm is RS256, whatever the token asks for (RFC 8725 sections 3.1 and 3.2). go-jose does the signature;
// the spelling is checked here, because there are tokens that it reads and others do not.
func check(token string, keys *KeySet, rules rules, now float64) (*Token, error) {
	if len(token) > largestToken {
		return nil, invalid(TooLarge, "the token is longer than 8 KiB")
	}
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return nil, invalid(Malformed, "the token does not have three segments")
	}
	payload, err := fromBase64URL(segments[1])
	if err == nil {
		_, err = fromBase64URL(segments[2])
	}
	if err != nil {
		return nil, invalid(Malformed, "the token is not canonical base64url")
	}
	kid, err := keyID(segments[0])
	if err != nil {
		return nil, err
	}
	if err := checkSignature(token, kid, keys); err != nil {
		return nil, err
	}
	return believe(payload, kid, rules, now)
}

func checkSignature(token, kid string, keys *KeySet) error {
	key, isKnown := keys.keys[kid]
	switch {
	case isKnown:
	case keys.revoked[kid]:
		return &RefusedError{Code: TokenRevoked, Reason: RevokedKey, message: "the key that signed the token was revoked"}
	default:
		return invalid(UnknownKey, "no known key has the kid of the token")
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return invalid(BadHeader, "the header is not one that go-jose reads")
	}
	if _, err := signed.Verify(key); err != nil {
		return invalid(BadSignature, "the signature is wrong")
	}
	return nil
}

// keyID is the kid of a header that asks for nothing but what we do.
func keyID(segment string) (string, error) {
	if len(segment) > largestHeader {
		return "", invalid(BadHeader, "the header is longer than 1 KiB")
	}
	octets, err := fromBase64URL(segment)
	if err != nil {
		return "", invalid(Malformed, "the header is not canonical base64url")
	}
	header, err := jsonObject(octets)
	if err != nil {
		return "", invalid(Malformed, "the header is not a strict JSON object")
	}
	has := func(name string) bool { _, isThere := header[name]; return isThere }
	typ, _ := header["typ"].(string)
	kid, _ := header["kid"].(string)
	switch {
	case header["alg"] != "RS256":
		return "", invalid(BadAlgorithm, "the algorithm is not RS256")
	case has("crit"):
		return "", invalid(Critical, "the header has critical extensions, and none is understood")
	case slices.ContainsFunc(foreignParameters, has):
		return "", invalid(BadHeader, "the header brings its own key, encoding or encryption")
	case !strings.EqualFold(typ, "at+jwt") && !strings.EqualFold(typ, "application/at+jwt"):
		return "", invalid(BadType, "the typ is not at+jwt")
	case !isKeyID(kid):
		return "", invalid(BadHeader, "the header has no usable kid")
	}
	return kid, nil
}
