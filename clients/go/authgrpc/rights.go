package authgrpc

import (
	"fmt"
	"slices"
	"strings"

	"auth.example/authclient"
)

// Right is who may call a method: whoever any of its parts lets in. The zero value lets in nobody.
type Right struct {
	isPublic    bool
	isForPeople bool
	roles       []string
	scopes      []string
}

var (
	// Public lets in anybody, without saying who they are: no token is looked at.
	Public = Right{isPublic: true}
	// SignedIn lets in every person with a good token. A service needs a scope.
	SignedIn = Right{isForPeople: true}
)

// Role lets in people with one of these roles in their token.
func Role(names ...string) Right { return Right{roles: names} }

// Scope lets in services whose token has one of these scopes.
func Scope(names ...string) Right { return Right{scopes: names} }

// Or lets in whom either does.
func (r Right) Or(other Right) Right {
	return Right{
		isPublic:    r.isPublic || other.isPublic,
		isForPeople: r.isForPeople || other.isForPeople,
		roles:       slices.Concat(r.roles, other.roles),
		scopes:      slices.Concat(r.scopes, other.scopes),
	}
}

func (r Right) admits(caller *authclient.Token) bool {
	// A person always has a role, `user` at least. A service has scopes instead.
	isPerson := len(caller.Roles) > 0 && len(caller.Scopes) == 0
	return r.isPublic || r.isForPeople && isPerson || overlap(r.roles, caller.Roles) || overlap(r.scopes, caller.Scopes)
}

// expectation is who may, in words, for whoever may not.
func (r Right) expectation() string {
	var who []string
	if r.isForPeople {
		who = append(who, "a person who is signed in")
	}
	for _, role := range slices.Sorted(slices.Values(r.roles)) {
		who = append(who, fmt.Sprintf("a person with the role `%s`", role))
	}
	for _, scope := range slices.Sorted(slices.Values(r.scopes)) {
		who = append(who, fmt.Sprintf("a service whose key has the scope `%s`", scope))
	}
	if who == nil {
		who = []string{"nobody"}
	}
	return "expected " + strings.Join(who, " or ")
}

// Rights is the table of a server: who may call a method, by its full name, as in /facility.v1.Scans/Start. A method
// without a row is refused to everybody, health and reflection included.
type Rights map[string]Right

func (r Rights) check() error {
	for method, right := range r {
		if !strings.HasPrefix(method, "/") || strings.Count(method, "/") != 2 {
			return fmt.Errorf("%q: expected a method's full name, as in /facility.v1.Scans/Start", method)
		}
		if slices.Contains(right.roles, "") || slices.Contains(right.scopes, "") {
			return fmt.Errorf("%q: expected names of roles and scopes that are not empty", method)
		}
	}
	return nil
}

func overlap(some, others []string) bool {
	return slices.ContainsFunc(some, func(each string) bool { return slices.Contains(others, each) })
}
