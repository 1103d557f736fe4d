package password

// Occupy takes n turns of h, and returns what gives them back.
func Occupy(h *Hasher, n int) (release func()) {
	for range n {
		h.turns <- struct{}{}
	}
	return func() {
		for range n {
			<-h.turns
		}
	}
}
