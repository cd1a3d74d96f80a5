package config

import (
	"strings"

	"github.com/CarterTsai/tcp-shaker/server/policy"
)

// maxName is the longest name of a caller, in bytes. Log lines contain it.
const maxName = 64

// nameForm is what else a caller's name is made of.
const nameForm = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

var callerFields = []field[Caller]{
	{name: "name", required: true, read: (*reader).readCallerName},
	{name: "identity", required: true, read: (*reader).readIdentity},
	{name: "allow", required: true, read: func(r *reader, c *Caller, v value) { c.Allow = r.rules(v) }},
	{name: "deny", read: func(r *reader, c *Caller, v value) { c.Deny = r.rules(v) }},
	{name: "limits", read: (*reader).readCallerLimits},
}

func (r *reader) readCallers(c *Config, v value) {
	before := len(r.errs)
	c.Callers = []Caller{}
	r.eachItem(v, func(item value) {
		caller := Caller{At: item.at(), Limits: defaultCallerLimits}
		item.key = "a caller"
		r.caller = len(c.Callers)
		readMapping(r, &caller, item, callerFields)
		c.Callers = append(c.Callers, caller)
	})
	if len(v.Content) == 0 && len(r.errs) == before {
		r.wrong(v, "callers needs at least one caller; without the key everybody is served")
	}
}

func (r *reader) readCallerName(c *Caller, v value) {
	s, ok := r.text(v)
	switch {
	case !ok:
	case len(s) > maxName || strings.Trim(s, nameForm) != "" || hasOther(s):
		r.mismatch(v, "must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen", "")
	default:
		c.Name = s
		r.claim(claim{"name", s}, quoted(s), v)
	}
}

func hasOther(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune(nameForm, c) })
}

// rules reads v, a list of rules, which is not nil.
func (r *reader) rules(v value) []Rule {
	rules := make([]Rule, 0, len(v.Content))
	key := v.key
	r.eachItem(v, func(item value) {
		item.key = "a rule of " + key
		s, ok := r.text(item)
		if !ok {
			return
		}
		if _, err := policy.ParseRule(s); err != nil {
			r.wrong(item, "the rule %s: %v", quoted(s), err)
			return
		}
		rules = append(rules, Rule{Text: s, At: item.at()})
	})
	return rules
}
