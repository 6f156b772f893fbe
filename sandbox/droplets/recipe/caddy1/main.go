// Caddy 1, as its own command builds it, without the telemetry that went to a server long gone.
package main

import "github.com/caddyserver/caddy/caddy/caddymain"

func main() {
	caddymain.EnableTelemetry = false
	caddymain.Run()
}
