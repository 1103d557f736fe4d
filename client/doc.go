// Package client talks to the API of a Gatehouse server.
//
// A [Client] has one method for each operation. What a server refuses comes
// back as an [*Error], whose fields say what was wrong; any other error means
// that no answer came. A change can be made conditional on the revision that
// it is based on, so that nobody overwrites what they have not seen.
//
// Secrets are plain strings in what is sent and received, but no type of this
// package shows one when it is printed or logged as a whole, and no error
// carries one. The client follows no redirect, so that a request is seen by the
// server it was meant for and by no other.
//
// A Client may be used by any number of goroutines at once. It starts none.
package client
