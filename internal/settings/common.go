package settings

// A Common is what every type of document has: the type embeds it, and has its
// fields and methods.
type Common struct {
	Pool
	Reach
}

func (c *Common) fields() []field { return append(c.Pool.fields(), c.Reach.fields()...) }

func (c *Common) common() *Common { return c }

// PoolOf returns how the requests of a provider with those fields, or with none
// if f is nil, use its keys.
func PoolOf(f Fields) Pool {
	if f == nil {
		return Pool{}
	}
	return f.common().Pool
}

// ReachOf returns how a provider with those fields, or with none if f is nil, is
// reached.
func ReachOf(f Fields) Reach {
	if f == nil {
		return Reach{}
	}
	return f.common().Reach
}
