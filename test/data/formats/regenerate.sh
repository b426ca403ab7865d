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
# Archives in each of GNU tar's forms, of names and links that only some of the forms can hold.
tree=$work/tree
umask 022
mkdir -p "$tree/dir/empty" tar
long=$(printf 'n%.0s' $(seq 90))
printf 'hello\n' >"$tree/dir/file"
printf '#!/bin/sh\n' >"$tree/run" && chmod 755 "$tree/run"
ln -s dir/file "$tree/link"
ln "$tree/dir/file" "$tree/same"
head -c 1000 /dev/zero >"$tree/zeros"
pack() { # FORM: the tree as FORM.tar
  options=; [ "$1" = pax ] && options="--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
  # shellcheck disable=SC2086
  (cd "$tree" && find . | LC_ALL=C sort | tar --format="$1" --no-recursion --owner=0 --group=0 --mtime=@1.5 $options -cf - -T -) >"tar/$1.tar"
}
pack v7
mkfifo "$tree/fifo"
mkdir -p "$tree/$long" && printf x >"$tree/$long/$long"
pack ustar
ln -s "$long$long" "$tree/longlink"
printf y >"$tree/$(printf 'byte\377')"
printf z >"$tree/é"
pack gnu
pack pax
# One text in every compression, with runs and with what does not compress.
mkdir -p compress
{ cat paths.nix paths.nix; head -c 5000 /dev/zero; openssl enc -aes-128-ctr -K 00 -iv 00 -in tar/v7.tar 2>/dev/null; } >compress/sample
gzip -9 -n -c compress/sample >compress/sample.gz
bzip2 -1 -c compress/sample >compress/sample.bz2
head -c 10000000 /dev/zero | bzip2 -c >compress/zeros.bz2
xz -c compress/sample >compress/sample.xz
zstd -q -19 -c compress/sample >compress/sample.zst
node -e 'process.stdout.write(require("zlib").brotliCompressSync(require("fs").readFileSync("compress/sample")))' >compress/sample.br
# The conversation with the daemon is recorded by the test that has it.
cd ../../.. && TVIX_RECORD=1 npx vitest run test/formats/daemon.test.ts -t live
