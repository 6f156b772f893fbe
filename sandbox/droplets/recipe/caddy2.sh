#!/bin/sh
# Adds Caddy 2 to the tree, configured for no tenant yet. /mnt/caddy is Debian's package.
set -eu
dpkg --install /mnt/caddy >/dev/null
install -m 755 -d /etc/systemd/system/caddy.service.d
install -m 644 /mnt/recipe/caddy2-environment.conf /etc/systemd/system/caddy.service.d/environment.conf
install -m 644 /mnt/recipe/Caddyfile2 /etc/caddy/Caddyfile
echo HOSTNAME=localhost >/etc/caddy/environment
