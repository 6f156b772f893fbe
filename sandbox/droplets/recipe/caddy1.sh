#!/bin/sh
# Adds Caddy 1 to the tree, configured for no tenant yet. /mnt/caddy is the program.
set -eu
install -m 755 /mnt/caddy /usr/local/bin/caddy
install -m 644 /mnt/recipe/caddy1.service /etc/systemd/system/caddy.service
install -m 755 -d /etc/caddy
install -m 644 /mnt/recipe/Caddyfile1 /etc/caddy/Caddyfile
echo HOSTNAME=localhost >/etc/caddy/environment
systemctl --quiet enable caddy
