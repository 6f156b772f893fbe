"""What the guide prescribes, word for word."""

CADDYFILE = """\
{$HOSTNAME}:80, {$HOSTNAME}:443

# HTTP → HTTPS redirect
redir 301 {
  if {scheme} is http
  /  https://{host}{uri}
}

# use a self-signed certificate if need be
# tls self_signed

# enable the Let's Encrypt certificate routine
# warning: only do this if the DNS is propagated
# or else you might blow the daily failure limit
tls /etc/caddy/com.meltanodata.crt /etc/caddy/com.meltanodata.key

proxy / localhost:5000 {
  transparent
}

gzip
"""
"""Step 4's."""
