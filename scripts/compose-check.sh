#!/usr/bin/env bash
# Brings docker-compose.yml up for real and publishes through it, on Debian as root, with nothing but
# Debian's packages and npm's: an own Docker daemon in an own network namespace, and stand-ins for the
# public images under their names (base system by debootstrap; Node, PostgreSQL and Redis as `npm test`
# has them). The machine's own Docker, if any, is left alone. About 4 minutes.
#
# Says why where it cannot be done; exits 1 only where the stack does not do what it should.
# SCRIVENER_COMPOSE_DIR names a folder to keep images in between runs.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
export PATH="$ROOT/node_modules/.bin:$PATH"

cannot() { echo "compose: not run: $*"; exit 0; }
say() { echo "compose: $* ($SECONDS s)"; }

[ "$(id -u)" = 0 ] || cannot 'needs root'
[ -f /etc/debian_version ] || cannot 'needs Debian'
grep -qw overlay /proc/filesystems || cannot 'the kernel has no overlayfs'

NAMESPACE=scrivener-$$
if [ -n "${SCRIVENER_COMPOSE_DIR:-}" ]; then
  D=$SCRIVENER_COMPOSE_DIR; mkdir -p "$D"
else
  D=$(mktemp -d /var/tmp/scrivener-compose-XXXXXX)
fi
export DOCKER_HOST="unix://$D/docker.sock"
export SCRIVENER_SECRETS="$D/secrets"
LOG=$D/log

stop_daemon() {
  [ -f "$D/pid" ] || return 0
  local pid; pid=$(cat "$D/pid")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
}

end() {
  local status=$?
  set +e
  if [ "$status" != 0 ]; then
    tail -n 20 "$LOG"
    if [ -n "${UP:-}" ]; then compose ps --all; compose logs --tail 30; fi
  fi
  if [ -n "${UP:-}" ]; then compose down --volumes --timeout 5 >>"$LOG" 2>&1; fi
  stop_daemon
  ip netns del "$NAMESPACE" 2>/dev/null
  umount "$D"/exec/netns/* 2>/dev/null
  # What a daemon left mounted is not ours to delete through.
  if [ -z "${SCRIVENER_COMPOSE_DIR:-}" ]; then rm -rf --one-file-system "$D"; fi
  exit "$status"
}
trap end EXIT

within() { nsenter --net="/run/netns/$NAMESPACE" "$@"; }

start_daemon() { # PREFIX... -- ARGUMENTS...: a daemon of our own
  local prefix=()
  while [ "$1" != -- ]; do prefix+=("$1"); shift; done
  shift
  "${prefix[@]}" dockerd --data-root "$D/data" --exec-root "$D/exec" --pidfile "$D/pid" -H "$DOCKER_HOST" \
    "$@" >>"$D/dockerd.log" 2>&1 &
  for _ in $(seq 200); do docker version >/dev/null 2>&1 && return 0; sleep 0.1; done
  return 1
}

# --- programs: an engine, a maker of base systems, Compose v2

: >"$LOG"
export DEBIAN_FRONTEND=noninteractive
have() { for name; do command -v "$name" >/dev/null || return 1; done; } # `command -v` of several is true where one is there
if ! have dockerd debootstrap ip iptables; then
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends docker.io debootstrap iproute2 iptables; } \
    >>"$LOG" 2>&1 || cannot 'docker.io and debootstrap cannot be had from Debian'
fi
say 'engine installed'

MIRROR=$(sed -nE 's/^URIs: *(\S+\/debian)\/?$/\1/p; s/^deb (\[[^]]*\] )?(\S+\/debian)\/? .*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)
[ -n "$MIRROR" ] || cannot "no mirror of Debian in apt's sources"

if [ ! -x "$D/bin/docker-compose" ]; then # Debian 12 has Compose 1 only; the plugin of Debian 13 is one static file
  S=$D/apt
  mkdir -p "$S/lists/partial" "$S/cache/archives/partial" "$D/bin"
  echo "deb $MIRROR trixie main" >"$S/sources"
  APT=(-qq -o Dir::Etc::sourcelist="$S/sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$S"
    -o Dir::State::lists="$S/lists" -o Dir::Cache="$S/cache" -o Dir::State::status=/var/lib/dpkg/status
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
  { apt-get "${APT[@]}" update && (cd "$S" && apt-get "${APT[@]}" download docker-compose) &&
    dpkg -x "$S"/docker-compose_*.deb "$S/x"; } >>"$LOG" 2>&1 || cannot "Compose cannot be had from Debian's next release"
  mv "$S/x/usr/libexec/docker/cli-plugins/docker-compose" "$D/bin/docker-compose"
  rm -rf "$S"
fi
compose() { "$D/bin/docker-compose" --project-name scrivener --project-directory "$ROOT" -f "$ROOT/docker-compose.yml" "$@"; }
say "$("$D/bin/docker-compose" version)"

# --- secrets, and a file that Compose understands

node scripts/compose-secrets.ts >>"$LOG"
compose config -q
say 'docker-compose.yml is valid'

# --- images

if [ ! -f "$D/base.tar" ]; then
  rm -rf --one-file-system "$D/base"
  debootstrap --variant=minbase --include=ca-certificates,haproxy bookworm "$D/base" "$MIRROR" >>"$LOG" 2>&1 ||
    cannot 'debootstrap failed'
  tar -C "$D/base" --one-file-system -cf "$D/base.tar.new" . && mv "$D/base.tar.new" "$D/base.tar"
  rm -rf --one-file-system "$D/base"
fi
say 'base system there'

start_daemon env -- --bridge=none --ip-forward=false --iptables=false --ip6tables=false || cannot "dockerd does not start: $(tail -n 1 "$D/dockerd.log")"
docker import - debian:bookworm-slim <"$D/base.tar" >>"$LOG"

# Builds a stand-in: NAME CONTEXT, with the Dockerfile on stdin.
stand_in() {
  cat >"$2/Dockerfile"
  docker build -q --network none -t "$1" "$2" >>"$LOG" 2>&1
}

# A context with Node as npm brought it; npm is the machine's, with the registry and CA that it uses.
C=$(mktemp -d "$D/context-XXXXXX")
cp "$(readlink -f node_modules/.bin/node)" "$C/node"
NPM=$(PATH=$(echo "$PATH" | tr ':' '\n' | grep -v node_modules | paste -sd:) npm root -g)/npm
cp -rL "$NPM" "$C/npm"
chmod 755 "$C/node" "$C/npm/bin/npm-cli.js"
cp /etc/ssl/certs/ca-certificates.crt "$C/ca.crt"
{ echo "registry=$(npm config get registry)"; echo cafile=/etc/ssl/certs/ca-certificates.crt; } >"$C/npmrc"
stand_in node:24-bookworm-slim "$C" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY npmrc /usr/local/etc/npmrc
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd --uid 1000 --create-home node
DOCKERFILE
rm -rf "$C"

C=$(mktemp -d "$D/context-XXXXXX")
node -e "import('$ROOT/scripts/postgres.ts').then((m) => console.log(m.programFolder()))" >"$C/where"
cp -r "$(dirname "$(cat "$C/where")")" "$C/native"
cat >"$C/docker-entrypoint.sh" <<'SCRIPT'
#!/bin/sh
# What the stack needs of the official image's entry point.
set -e
export PGDATA=/var/lib/postgresql/18/docker
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown -R postgres:postgres /var/lib/postgresql && chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/pwfile
  initdb --username=postgres --pwfile=/tmp/pwfile --auth=scram-sha-256 --encoding=UTF8 --locale=C -D "$PGDATA"
  rm /tmp/pwfile
fi
exec "$@" -c listen_addresses='*'
SCRIPT
chmod +x "$C/docker-entrypoint.sh"
# npm's package has no pg_isready: the one thing it is asked for is whether the port answers.
printf '#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/5432\n' >"$C/pg_isready"; chmod +x "$C/pg_isready"
stand_in postgres:18-bookworm "$C" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY native /usr/lib/postgresql
COPY docker-entrypoint.sh pg_isready /usr/local/bin/
RUN useradd --uid 999 postgres && mkdir -p /var/lib/postgresql && chown postgres:postgres /var/lib/postgresql
ENV PATH=/usr/lib/postgresql/bin:$PATH
DOCKERFILE
rm -rf "$C"

C=$(mktemp -d "$D/context-XXXXXX")
mkdir -p "$C/redis"
UNPACKED=$(node -e "import('$ROOT/scripts/redis.ts').then((m) => m.unpackRedis()).then((f) => console.log(f))")
cp -r "$UNPACKED/." "$C/redis"
cat >"$C/docker-entrypoint.sh" <<'SCRIPT'
#!/bin/sh
set -e
[ "$(id -u)" != 0 ] || { chown redis:redis /data; exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"; }
exec "$@"
SCRIPT
chmod +x "$C/docker-entrypoint.sh"
stand_in redis:7-bookworm "$C" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY redis /opt/redis
COPY docker-entrypoint.sh /usr/local/bin/
RUN ls -d /opt/redis/usr/lib/*-linux-gnu /opt/redis/lib/*-linux-gnu >/etc/ld.so.conf.d/redis.conf 2>/dev/null; \
  ldconfig && ln -s /opt/redis/usr/bin/redis-* /usr/local/bin/ && useradd --uid 999 redis && mkdir -p /data && chown redis:redis /data
WORKDIR /data
DOCKERFILE
rm -rf "$C"

C=$(mktemp -d "$D/context-XXXXXX")
stand_in haproxy:3.0-bookworm "$C" <<'DOCKERFILE'
FROM debian:bookworm-slim
USER haproxy
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
DOCKERFILE
rm -rf "$C"
say 'stand-ins for the public images built'

docker build -q --network host -t scrivener . >>"$LOG" 2>&1
size_of() { docker image inspect --format '{{.Size}}' "$1"; }
say "our image built: $((($(size_of scrivener) - $(size_of node:24-bookworm-slim)) / 1000000)) MB on top of Node's"
[ "$(docker image inspect --format '{{.Config.User}}' scrivener)" = node ] || { say 'the image runs as root'; exit 1; }
stop_daemon

# --- the stack, in a network namespace of its own (not `ip netns exec`: dockerd would miss its cgroups)

ip netns add "$NAMESPACE"
within ip link set lo up
start_daemon within -- || cannot "dockerd does not start: $(tail -n 1 "$D/dockerd.log")"
UP=1
compose up --detach --no-build --wait --wait-timeout 120 --scale api=3 --scale signer-worker=4 >>"$LOG" 2>&1
say 'up: 3 APIs, 4 workers'

# --- as a client

WORK=$(mktemp -d "$D/client-XXXXXX")
CA=$SCRIVENER_SECRETS/root-ca.crt
export NOTARY_ROOT_PASSPHRASE=passphrase1 NOTARY_TARGETS_PASSPHRASE=passphrase1 NOTARY_SNAPSHOT_PASSPHRASE=passphrase1
NOTARY=$(node -e "import('$ROOT/scripts/notary-client.ts').then((m) => m.findNotaryClient()).then((f) => console.log(f))")
notary() { within "$NOTARY" -s https://localhost:4443 --tlscacert "$CA" -d "$WORK/trust" "$@"; }

notary init -p example.com/hello
notary add -p example.com/hello v1 README.md
notary list example.com/hello | tee "$WORK/list"
grep -q '^v1 ' "$WORK/list"
say 'published and read by the notary client'

# --- what must not work

denied() { # WHAT COMMAND...
  local what=$1; shift
  if "$@" >>"$LOG" 2>&1; then say "FAILED: $what"; exit 1; fi
  say "refused, as it should be: $what"
}
in_container() { compose exec -T "$@"; }
address_of() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(compose ps -q "$1")"; }
connect="const [, host, port] = process.argv; require('net').connect(port, host).on('connect', () => process.exit(0)).on('error', () => process.exit(1)).setTimeout(3000, () => process.exit(1))"
# By address, for a name that is not known says little.
log=$(address_of postgres) keys=$(address_of signer-postgres) queue=$(address_of redis)
in_container api node -e "$connect" "$log" 5432
in_container signer-worker node -e "$connect" "$keys" 5432
in_container signer-worker node -e "$connect" "$queue" 6379
denied 'an API reaches the database of the keys' in_container api node -e "$connect" "$keys" 5432
denied 'a worker reaches the log' in_container signer-worker node -e "$connect" "$log" 5432
denied 'a projector reaches the queue' in_container projector node -e "$connect" "$queue" 6379
denied 'a worker is root' in_container signer-worker node -e 'process.exit(process.getuid() === 0 ? 0 : 1)'
denied 'a program changes its image' in_container api touch /scrivener/mine
check_config="node apps/api/src/main.ts -config /etc/scrivener/server.json -check-config"
in_container api $check_config >>"$LOG"
denied 'production with keys of development' in_container --env NOTARY_SERVER_PRODUCTION=true api $check_config
denied 'Redis answers without a certificate' in_container redis redis-cli --tls --cacert /run/secrets/root-ca.crt ping
denied 'Redis answers plain text' in_container redis redis-cli ping

# --- what may die

docker kill "$(compose ps -q api | head -n 1)" >>"$LOG"
docker kill "$(compose ps -q signer-worker | head -n 1)" >>"$LOG"
sleep 3
notary add -p example.com/hello v2 README.md
notary list example.com/hello | grep -q '^v2 '
say 'an API and a worker killed: publishing goes on'

compose restart --timeout 10 postgres signer-postgres redis >>"$LOG" 2>&1
compose up --detach --no-build --no-recreate --wait --wait-timeout 60 --scale api=3 --scale signer-worker=4 >>"$LOG" 2>&1
notary add -p example.com/hello v3 README.md
notary list example.com/hello | grep -q '^v3 '
say 'databases and queue restarted: the data is there, publishing goes on'
echo 'compose: passed'
