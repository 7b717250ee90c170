package authclient

import (
	"crypto/rsa"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"slices"
	"unicode/utf8"
)

const (
	longestKeyID            = 128        // Characters.
	smallestKey, largestKey = 2048, 8192 // Bits. A larger key only serves to make verifying slow.
	exponent                = 65537
)

// Members that only a private or a secret key has.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// KeySet is public keys by kid; it never changes. Every key is for RS256 and nothing else, whatever a token's header
// says.
type KeySet struct {
	version string
	keys    map[string]*rsa.PublicKey
	revoked map[string]bool
}

// ParseKeySet returns the usable keys of a JSON Web Key Set (RFC 7517 section 5); possibly none.
//
// Left out without harm to their neighbours: other key types, keys for encryption or for other algorithms, RSA keys
// under 2048 bits or with an exponent other than 65537, keys that carry private members. A kid that two usable keys
// share is ambiguous, so both go. Tokens of revokedKids, which were withdrawn for cause, are revoked and not unknown.
// The error is ErrKeySetRefused if there is no list of keys at all.
func ParseKeySet(document []byte, version string, revokedKids ...string) (*KeySet, error) {
	members, err := jsonObject(document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySetRefused, err)
	}
	entries, ok := members["keys"].([]any)
	if !ok {
		return nil, fmt.Errorf("%w: the member \"keys\" is not a list", ErrKeySetRefused)
	}
	set := &KeySet{version: version, keys: map[string]*rsa.PublicKey{}, revoked: map[string]bool{}}
	for _, kid := range revokedKids {
		set.revoked[kid] = true
	}
	uses := map[string]int{}
	for _, entry := range entries {
		if kid, key := usableKey(entry); key != nil {
			set.keys[kid] = key
			uses[kid]++
		}
	}
	maps.DeleteFunc(set.keys, func(kid string, _ *rsa.PublicKey) bool { return uses[kid] > 1 || set.revoked[kid] })
	return set, nil
}

// Version names the set: the ETag, or the version of the key ring; empty if neither is known.
func (s *KeySet) Version() string { return s.version }

// Len is the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

// KeyIDs goes through the kids, in no order.
func (s *KeySet) KeyIDs() iter.Seq[string] { return maps.Keys(s.keys) }

// usableKey is what an entry of a key set is good for; nil if for nothing.
func usableKey(entry any) (string, *rsa.PublicKey) {
	members, ok := entry.(map[string]any)
	if !ok || members["kty"] != "RSA" || !isOr(members, "use", "sig") || !isOr(members, "alg", "RS256") {
		return "", nil
	}
	kid, ok := members["kid"].(string)
	if !ok || !isKeyID(kid) || !mayVerify(members) {
		return "", nil
	}
	for _, name := range privateMembers {
		if _, isThere := members[name]; isThere {
			return "", nil
		}
	}
	n, e := number(members["n"]), number(members["e"])
	if n == nil || e == nil || !e.IsInt64() || e.Int64() != exponent {
		return "", nil
	}
	if n.Bit(0) == 0 || n.BitLen() < smallestKey || n.BitLen() > largestKey {
		return "", nil
	}
	return kid, &rsa.PublicKey{N: n, E: exponent}
}

// isOr says whether a member is as expected, or absent.
func isOr(members map[string]any, name, expected string) bool {
	value, isThere := members[name]
	return !isThere || value == expected
}

func mayVerify(members map[string]any) bool {
	value, isThere := members["key_ops"]
	operations, _ := value.([]any)
	return !isThere || slices.Contains(operations, any("verify"))
}

func isKeyID(kid string) bool { return kid != "" && utf8.RuneCountInString(kid) <= longestKeyID }

// number reads a Base64urlUInt: big-endian, no leading zero octet (RFC 7518 section 2).
func number(value any) *big.Int {
	text, _ := value.(string)
	octets, err := fromBase64URL(text)
	if err != nil || octets[0] == 0 {
		return nil
	}
	return new(big.Int).SetBytes(octets)
}
