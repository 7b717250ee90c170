package authclient

import (
	"crypto/rsa"
	"errors"
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
	mostLeftOut             = 20
)

var (
	exponent = big.NewInt(65537)
	// Members that only a private or a secret key has.
	privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
)

// KeySet is public keys by kid; it never changes. Every key is for RS256 and nothing else, whatever a token's header
// says.
type KeySet struct {
	version string
	keys    map[string]*rsa.PublicKey
	revoked map[string]bool
	leftOut []LeftOut
}

// LeftOut is a key that no token is judged by, and why. KeyID is as the document has it, but for its end.
type LeftOut struct {
	KeyID string
	Why   string
}

func (l LeftOut) String() string { return fmt.Sprintf("%q %s", l.KeyID, l.Why) }

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
		if members, ok := entry.(map[string]any); ok {
			kid, _ := members["kid"].(string)
			set.take(kid, members, uses)
		}
	}
	maps.DeleteFunc(set.keys, func(kid string, _ *rsa.PublicKey) bool { return uses[kid] > 1 || set.revoked[kid] })
	return set, nil
}

// take adds the key of an entry, unless it is of no use; uses counts how often a kid is that of a usable key.
func (s *KeySet) take(kid string, members map[string]any, uses map[string]int) {
	key, err := usableKey(kid, members)
	if err == nil {
		s.keys[kid] = key
		if uses[kid]++; uses[kid] == 2 {
			err = errors.New("is the kid of several keys")
		}
	}
	if err != nil && len(s.leftOut) < mostLeftOut {
		s.leftOut = append(s.leftOut, LeftOut{kid[:min(len(kid), longestKeyID)], err.Error()})
	}
}

// Version names the set: the ETag, or the version of the key ring; empty if neither is known.
func (s *KeySet) Version() string { return s.version }

// Len is the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

// KeyIDs goes through the kids, in no order.
func (s *KeySet) KeyIDs() iter.Seq[string] { return maps.Keys(s.keys) }

// LeftOut is what the document had besides, or the first of it.
func (s *KeySet) LeftOut() []LeftOut { return slices.Clone(s.leftOut) }

// RefuseIfEmpty is ErrKeySetRefused for a set without keys: it would refuse every token, so no source takes one.
func (s *KeySet) RefuseIfEmpty() error {
	if len(s.keys) > 0 {
		return nil
	}
	return fmt.Errorf("%w: it holds no usable key %v", ErrKeySetRefused, s.leftOut[:min(len(s.leftOut), 3)])
}

// LessRevokedOf is the same set, less the keys that told knows to be revoked.
func (s *KeySet) LessRevokedOf(told *KeySet) *KeySet {
	less := &KeySet{s.version, maps.Clone(s.keys), maps.Clone(s.revoked), s.leftOut}
	for kid := range told.revoked {
		delete(less.keys, kid)
		less.revoked[kid] = true
	}
	return less
}

// usableKey is what an entry of a key set is good for; the error says why it is not, as what follows the key's name.
func usableKey(kid string, members map[string]any) (*rsa.PublicKey, error) {
	switch {
	case !isKeyID(kid):
		return nil, fmt.Errorf("has no kid of 1 to %d characters", longestKeyID)
	case slices.ContainsFunc(privateMembers, func(name string) bool { _, isThere := members[name]; return isThere }):
		return nil, errors.New("has members that only a private key has")
	case members["kty"] != "RSA":
		return nil, errors.New("is no RSA key")
	case !isOr(members, "use", "sig") || !isOr(members, "alg", "RS256"):
		return nil, errors.New("is not for RS256 signatures")
	case !mayVerify(members):
		return nil, errors.New("is not for verifying")
	}
	n, e := number(members["n"]), number(members["e"])
	switch {
	case n == nil || e == nil:
		return nil, errors.New("has no canonical modulus and exponent")
	case e.Cmp(exponent) != 0 || n.Bit(0) == 0 || n.BitLen() < smallestKey || n.BitLen() > largestKey:
		return nil, fmt.Errorf("is not of %d to %d bits with the exponent 65537", smallestKey, largestKey)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
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
