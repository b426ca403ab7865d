#!/bin/sh
# Makes the golden .drv files anew: plain/ with any C++ Nix (they were made with 2.8 and are the same with 2.34),
# experimental/ and derivations.json with one that has dynamic derivations and the fourth JSON format (2.34).
set -eu
cd "$(dirname "$0")"
features="nix-command ca-derivations impure-derivations dynamic-derivations git-hashing"
instantiate() { # NAME: the closures of NAME.nix's attributes to NAME/
  # shellcheck disable=SC2086
  roots=$(nix-instantiate --option experimental-features "$2" "$1.nix" 2>/dev/null | sed 's/!.*//')
  rm -rf "$1" && mkdir "$1"
  # shellcheck disable=SC2046,SC2086
  cp $(nix-store -qR $roots 2>/dev/null | grep '\.drv$') "$1/"
  chmod u+w "$1"/*
}
instantiate plain "nix-command"
case "$(nix --version)" in
  *" 2."[012][0-9]* | *" 2."[0-9].*) echo "experimental/ and derivations.json need a newer Nix; kept" >&2 ;;
  *)
    instantiate experimental "$features"
    # shellcheck disable=SC2046
    nix --extra-experimental-features "$features" derivation show \
      $(for each in plain/*.drv experimental/*.drv; do echo "/nix/store/${each#*/}"; done) >derivations.json
    ;;
esac
