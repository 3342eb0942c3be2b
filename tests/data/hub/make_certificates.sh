#!/bin/sh
# Makes the certificates of tests/it/hub: an authority that nobody trusts, and one that it has
# signed for 127.0.0.1, with its key. They protect nothing, and are valid for 100 years.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
key "$work/authority.key"
openssl req -x509 -new -key "$work/authority.key" -days 36500 -subj "/CN=bertfit tests" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
    -out authority.pem
key server.key
openssl req -new -key server.key -subj "/CN=127.0.0.1" -out "$work/server.csr"
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > "$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA authority.pem -CAkey "$work/authority.key" \
    -set_serial 1 -days 36500 -extfile "$work/extensions" -out server.pem
rm -r "$work"
