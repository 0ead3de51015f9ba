#!/bin/bash
# Turns etcd's authentication on: user root with ETCD_PASSWORD, by etcd's JSON gateway. Once; later runs find it done.
set -u
host=${ETCD_HOST:-etcd}
port=${ETCD_PORT:-2379}

# ask PATH JSON: true when etcd says 200. The image has no curl.
ask()
{
    exec 3<> "/dev/tcp/$host/$port" || return 1
    printf 'POST /v3/%s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "$1" "$host" "${#2}" "$2" >&3
    local status=0
    read -r _ status _ <&3
    exec 3>&-
    [ "$status" = 200 ]
}

sign_in="{\"name\":\"root\",\"password\":\"$ETCD_PASSWORD\"}"
if ask auth/authenticate "$sign_in"; then
    echo "etcd knows its password already"
    exit 0
fi
# Whatever an earlier run has done already is refused, and does no harm.
ask auth/user/add "$sign_in"
ask auth/role/add '{"name":"root"}'
ask auth/user/grant '{"user":"root","role":"root"}'
ask auth/enable '{}'
if ask auth/authenticate "$sign_in"; then
    echo "etcd asks for its password from now on"
    exit 0
fi
echo "etcd does not take ETCD_PASSWORD: was it changed after the first start?" >&2
exit 1
