#!/bin/bash
# Puts this version on another Debian 12 machine over ssh, starts it and waits until it serves. Again: an upgrade.
#   deploy/quick-deploy.sh root@meet.example.org [--name meet.example.org] [--package build/parlance_*.deb]
# --name: how people reach it (https://NAME:8443 until a certificate and port 443 are set, see docs/install.md).
# The other side needs sshd, apt and root (or sudo without a password). SSH names another ssh.
set -euo pipefail
cd "$(dirname "$0")/.."
ssh=${SSH:-ssh}
target="" name="" package=""
usage() { sed -n '3p' "$0" | sed 's/^# */usage: /' >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
    --name) [ $# -gt 1 ] || usage; name=$2; shift 2 ;;
    --package) [ $# -gt 1 ] || usage; package=$2; shift 2 ;;
    -*) usage ;;
    *) [ -z "$target" ] || usage; target=$1; shift ;;
    esac
done
[ -n "$target" ] || usage
if [ -n "$name" ] && ! [[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]]; then
    echo "quick-deploy: --name: a host name is expected, as meet.example.org" >&2
    exit 2
fi
if [ -z "$package" ]; then
    echo "quick-deploy: building the package"
    make -s deb >&2
    package=$(ls -t build/parlance_*.deb | head -1)
fi
[ -f "$package" ] || { echo "quick-deploy: there is no $package" >&2; exit 1; }

echo "quick-deploy: sending $(basename "$package") ($(du -k "$package" | cut -f1) kB) to $target"
file=/tmp/parlance-$$.deb
$ssh "$target" "umask 077; cat > $file" < "$package"

# What runs there; the name was checked above, the file is ours.
remote=$(cat <<'REMOTE'
set -eu
root=""; [ "$(id -u)" = 0 ] || root="sudo -n"
trap 'rm -f "$file"' EXIT
. /etc/os-release
[ "${ID:-}:${VERSION_ID:-}" = debian:12 ] || { echo "quick-deploy: this is ${PRETTY_NAME:-no Debian}, not Debian 12" >&2; exit 1; }
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --allow-downgrades "$file" > /tmp/parlance-apt.log 2>&1 || { cat /tmp/parlance-apt.log >&2; exit 1; }
config=/etc/parlance/parlance.yaml
if [ -n "$name" ] && $root grep -q '^#public_url:' "$config"; then
    $root sed -i "s|^#public_url:.*|public_url: https://$name:8443|" "$config"
fi
$root parlance check-config --config "$config" > /dev/null
if [ -d /run/systemd/system ]; then
    $root systemctl restart parlance
else
    echo "quick-deploy: there is no systemd here: start it yourself" >&2
    exit 0
fi
for i in $(seq 60); do
    if (exec 3<>/dev/tcp/127.0.0.1/8800 && printf 'GET /ready HTTP/1.0\r\n\r\n' >&3 && head -1 <&3 | grep -q ' 200 ') 2>/dev/null; then
        echo "quick-deploy: it serves"
        exit 0
    fi
    sleep 0.5
done
echo "quick-deploy: it does not serve after 30 s; its last words:" >&2
$root journalctl -u parlance -n 20 --no-pager >&2 || true
exit 1
REMOTE
)
$ssh "$target" "file=$file name=$(printf %q "$name") bash -c $(printf %q "$remote")"
host=${name:-${target##*@}}
cat <<END
quick-deploy: https://$host:8443 (its own certificate: the browser asks once)
  first account:  $ssh $target parlance user create NAME --admin --config /etc/parlance/parlance.yaml
  media:          UDP 8810 must reach it; behind NAT set media.announced_addresses
END
