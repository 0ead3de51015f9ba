#!/bin/bash
# Before the first start: a certificate of our own unless there is one, and blobs that belong to Parlance's user (8800).
set -eu
host=${PUBLIC_URL#*://}
host=${host%%[:/]*}
if [ ! -s /tls/fullchain.pem ] || [ ! -s /tls/privkey.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host,DNS:localhost" -keyout /tls/privkey.pem -out /tls/fullchain.pem 2> /dev/null
    chmod 600 /tls/privkey.pem
    echo "made a certificate for $host: browsers will warn; put your own into the directory tls"
fi
chown 8800:8800 /blobs
