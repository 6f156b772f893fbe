#!/bin/sh
# Makes a plain Debian the machine that the guide's snapshot is, but for Caddy.
#
# Runs inside the tree, without a network. /mnt/recipe is the folder of this script, /mnt/wheels the Python packages.
set -eu
recipe=/mnt/recipe

# The project's user; a user of its group for FTP, whose password is set per tenant; Caddy's.
useradd --system --user-group --create-home --home-dir /var/meltano --shell /bin/bash meltano
chmod 755 /var/meltano
useradd --no-create-home --home-dir /var/meltano/project --gid meltano --shell /bin/sh tenant
useradd --system --user-group --create-home --home-dir /var/lib/caddy --shell /usr/sbin/nologin caddy

# Meltano and its project.
as_meltano() { (cd /var/meltano && runuser --user meltano -- env HOME=/var/meltano "$@"); }
as_meltano python3 -m venv .venv
as_meltano .venv/bin/pip install --quiet --no-cache-dir --no-index --find-links /mnt/wheels \
  --constraint "$recipe/constraints.txt" meltano
as_meltano .venv/bin/meltano init project
chmod 755 /var/meltano/project
install -m 644 "$recipe/meltano.service" /etc/systemd/system/meltano.service

# FTP: `tenant` alone.
install -m 644 "$recipe/vsftpd.conf" /etc/vsftpd.conf
echo tenant >/etc/vsftpd.userlist

# SSH.
install -m 644 "$recipe/sshd.conf" /etc/ssh/sshd_config.d/droplet.conf
install -m 644 "$recipe/ssh-host-keys.service" /etc/systemd/system/ssh-host-keys.service
rm -f /etc/ssh/ssh_host_*

systemctl --quiet enable meltano vsftpd ssh ssh-host-keys
# They ask mirrors that a droplet of the sandbox cannot reach.
systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer

# Nothing of the machine that built it, and no identity: each droplet gets its own at first boot.
rm -rf /etc/apt/apt.conf.d/99mmdebstrap /var/lib/apt/lists/* /var/cache/apt/* \
  /var/meltano/.cache /root/.cache /tmp/* /var/tmp/*
find /var/log -type f -delete
rm -f /var/lib/dbus/machine-id /etc/hostname /etc/resolv.conf
: >/etc/machine-id
