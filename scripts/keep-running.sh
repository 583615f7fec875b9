#!/bin/sh
# keep-running.sh NAME COMMAND...: runs a server, and starts it again when it is killed or crashes, as
# an orchestrator would. A server that ends within 5 s of its first start refuses its configuration:
# that is not tried again. TERM and INT are passed on, and then its end is ours. It is a shell script
# because one of these stands behind every process of the stack, and a shell takes 2 MB. What it says
# goes to stderr, after what the server wrote there.
name=$1
shift
stopping=
proven=
child=
trap 'stopping=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM INT HUP

while :; do
  began=$(date +%s)
  "$@" &
  child=$!
  if [ -n "$stopping" ]; then kill -TERM "$child" 2>/dev/null; fi # it came in between
  # A signal to this shell ends `wait`, not the server.
  while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
  child=

  if [ -n "$stopping" ] || [ "$code" -eq 0 ]; then exit "$code"; fi
  if [ "$code" -gt 128 ]; then how="signal $((code - 128))"; else how="exit code $code"; fi
  if [ "$code" -gt 128 ] || [ $(($(date +%s) - began)) -ge 5 ]; then proven=1; fi
  if [ -z "$proven" ]; then
    echo "keep-running: $name refuses to start ($how)" >&2
    exit "$code"
  fi
  echo "keep-running: $name ended ($how), starting it again" >&2
  sleep 1
  if [ -n "$stopping" ]; then exit 0; fi
done
