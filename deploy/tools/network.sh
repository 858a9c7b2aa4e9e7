# shellcheck shell=sh
# A company's network, as .env says it to docker compose (docs/company-network.md). Sourced by what
# installs and runs on this machine itself; $root is the checkout. What the shell sets wins.
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL UV_DEFAULT_INDEX NETRC CA_CERTIFICATES; do
    if eval "[ -z \"\${$name:-}\" ]" && [ -f "$root/.env" ]; then
        value=$(sed -n "s/^$name=[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\} *\$/\1/p" "$root/.env" | tail -n 1)
        [ -z "$value" ] || export "$name=$value"
    fi
done
# The parts of the embedded mode ask each other on loopback. A script that this one runs has it already.
case ,${NO_PROXY:-}, in
*,localhost,*) ;;
*)
    if [ -n "${HTTP_PROXY:-}${HTTPS_PROXY:-}" ]; then
        export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1"
    fi
    ;;
esac

# Its authorities beside those of this machine.
authorities=${CA_CERTIFICATES:-deploy/ca}
case $authorities in /*) ;; *) authorities=$root/$authorities ;; esac
if [ -z "${SSL_CERT_FILE:-}" ] && [ -n "$(find "$authorities" -name '*.crt' 2>/dev/null)" ]; then
    mkdir -p "$root/.tools"
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        [ ! -r "$bundle" ] || break
    done
    cat "$bundle" "$authorities"/*.crt >"$root/.tools/authorities.$$"
    mv -f "$root/.tools/authorities.$$" "$root/.tools/authorities.pem"
    export SSL_CERT_FILE="$root/.tools/authorities.pem"
    export REQUESTS_CA_BUNDLE="$SSL_CERT_FILE" PIP_CERT="$SSL_CERT_FILE"
fi

# The wheels of a bundle, and no network: uv and pip ask nobody else.
if [ -e "$root/deploy/wheels/pip.conf" ]; then
    unset UV_DEFAULT_INDEX PIP_INDEX_URL
    export UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS="$root/deploy/wheels"
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$root/deploy/wheels"
fi
