#!/bin/sh
# Writes what depends on the secrets, then becomes nginx.
set -eu
secrets=/run/secrets

password=$(base64 <"$secrets/flower_basic_auth" | tr -d '\n')
echo "proxy_set_header Authorization \"Basic $password\";" >/tmp/flower_password.conf

echo "client_max_body_size ${JOB_SIZE_LIMIT}k;" >/tmp/body_size.conf
: >/tmp/redirect.conf
: >/tmp/strict_transport.conf
if grep -q BEGIN "$secrets/tls_certificate"; then
    cat >/tmp/listen.conf <<LISTEN
listen 8443 ssl;
http2 on;
ssl_certificate $secrets/tls_certificate;
ssl_certificate_key $secrets/tls_key;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_cache shared:tls:1m;
LISTEN
    echo 'add_header Strict-Transport-Security "max-age=31536000" always;' >/tmp/strict_transport.conf
    # The address that is published, which nginx does not know of itself.
    echo "server { listen 8080; return 308 $PUBLIC_URL\$request_uri; }" >/tmp/redirect.conf
else
    echo "listen 8080;" >/tmp/listen.conf
fi
exec nginx -g 'daemon off;'
