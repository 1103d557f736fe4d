package awscredentials

// Dials returns what the dialler for metadata services says of an address.
func Dials(m Metadata, address string) error { return m.control("tcp4", address, nil) }
