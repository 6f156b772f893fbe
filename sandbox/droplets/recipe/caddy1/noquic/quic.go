// Package quic has the names that Caddy 1.0.5 uses of quic-go v0.13.1, and nothing behind them.
//
// That version checks at start that it knows the insides of crypto/tls, finds those of Go 1.13 only, and panics
// on every later Go. Caddy 1 has QUIC switched off unless it is asked for, so nothing is missed.
package quic

import "time"

// Config is what Caddy sets when QUIC is on.
type Config struct {
	HandshakeTimeout time.Duration
	KeepAlive        bool
}
