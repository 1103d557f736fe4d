package nesting

// ValidWithin is [Valid] with another limit.
func ValidWithin(b []byte, limit int) bool { return valid(b, limit, nil) }
