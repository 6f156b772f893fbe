// Package http3 refuses what Caddy asks of it only when QUIC is on.
package http3

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	quic "github.com/lucas-clemente/quic-go"
)

var errLeftOut = errors.New("this build of Caddy has no QUIC")

// Server serves HTTP/3.
type Server struct{ *http.Server }

// SetQuicHeaders announces HTTP/3; there is none to announce.
func (s *Server) SetQuicHeaders(http.Header) error { return nil }

// Close has nothing to close.
func (s *Server) Close() error { return nil }

// Serve refuses.
func (s *Server) Serve(net.PacketConn) error { return errLeftOut }

// RoundTripper is a client of HTTP/3.
type RoundTripper struct {
	QuicConfig      *quic.Config
	TLSClientConfig *tls.Config
}

// RoundTrip refuses.
func (r *RoundTripper) RoundTrip(*http.Request) (*http.Response, error) { return nil, errLeftOut }
