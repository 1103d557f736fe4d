package translate

// A Fate is what a rule says of a member, for tests and for the document.
type Fate struct {
	Name, How, Why string
}

// Fates returns what happens to the members of requests on the way.
func Fates(client, upstream API) []Fate {
	var list []Fate
	for i := range rules[client] {
		r := &rules[client][i]
		how := r.fate(upstream)
		f := Fate{r.name, [...]string{carried: "carried", dropped: "left out", refused: "refused"}[how], r.why}
		if how == carried {
			f.Why = ""
		}
		list = append(list, f)
	}
	return list
}

// MaxEvent and MaxAnswer are the limits of a stream.
const (
	MaxEvent  = maxEvent
	MaxAnswer = maxAnswer
)
