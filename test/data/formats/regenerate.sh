#!/bin/sh
# Makes the golden files of this directory anew with the installed C++ Nix (2.8): a signed binary cache of the objects
# in paths.nix and their export. The key pair is kept once made. Builds without a sandbox.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export NIX_CONFIG="sandbox = false
build-users-group =
substitute = false
experimental-features = nix-command"
[ -e cache.sec ] || nix-store --generate-binary-cache-key tests.example-1 cache.sec cache.pub
built=$(nix-build --no-out-link -E 'builtins.filter (x: x ? outPath) (import ./paths.nix)')
texts=$(nix-instantiate --eval --strict --json --read-write-mode -E 'builtins.filter builtins.isString (import ./paths.nix)' |
  tr -d '[]"' | tr , ' ')
rm -rf cache && mkdir cache
# shellcheck disable=SC2086
nix copy --to "file://$work/cache?secret-key=$PWD/cache.sec&write-nar-listing=true&compression=none" $built $texts
cp "$work"/cache/*.narinfo "$work"/cache/*.ls "$work"/cache/nix-cache-info cache/
# shellcheck disable=SC2086,SC2046
nix-store --export $(nix-store -qR $built $texts | sort -u) > paths.export
# The conversation with the daemon is recorded by the test that has it.
cd ../../.. && TVIX_RECORD=1 npx vitest run test/formats/daemon.test.ts -t live
