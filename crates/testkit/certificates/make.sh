#!/bin/sh
# Makes the certificates that tests use, with openssl 3. They guard nothing: their keys are public, here.
set -eu
cd "$(dirname "$0")"
rm -f ./*.pem ./*.key
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cat >"$work/conf" <<END
[ca]
default_ca = any
[any]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
unique_subject = no
policy = every
[every]
commonName = optional
organizationName = optional
[req]
distinguished_name = name
[name]
[ca_cert]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1
[client]
extendedKeyUsage = clientAuth
[nameless]
subjectAltName = critical,DNS:bus.example.net,IP:10.0.0.1,URI:spiffe://example/alice
END
: >"$work/index"

# NAME SUBJECT SECTION END SIGNER...
make() {
    name=$1 subject=$2 section=$3 end=$4
    shift 4
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key"
    openssl req -new -config "$work/conf" -key "$name.key" -subj "$subject" -out "$work/request"
    # Two forms of a time: the first year with two digits, the second with four.
    openssl ca -batch -notext -config "$work/conf" -in "$work/request" -out "$name.pem" -extensions "$section" \
        -startdate 200101000000Z -enddate "$end" "$@"
}
always=21200101000000Z
make ca "/CN=Authority of tests" ca_cert $always -selfsign -keyfile ca.key
make other "/CN=Another authority of tests" ca_cert $always -selfsign -keyfile other.key
make server /CN=bus server $always -cert ca.pem -keyfile ca.key
make client /O=Example/CN=alice client $always -cert ca.pem -keyfile ca.key
make stranger /CN=mallory client $always -cert other.pem -keyfile other.key
make ended /CN=old client 210101000000Z -cert ca.pem -keyfile ca.key
make nameless / nameless $always -cert ca.pem -keyfile ca.key
openssl pkey -in server.key -aes256 -passout pass:x -out locked.key
rm ca.key other.key
