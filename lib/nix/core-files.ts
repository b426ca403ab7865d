// Files that exist for `<nix/…>` only.

/**
 * `<nix/fetchurl.nix>`: a derivation that the builder `builtin:fetchurl` runs. Its attributes are part of the hashes of
 * everything that bootstraps from it, those that have no effect included.
 */
export const FETCHURL_SOURCE = `
{ url
, name ? baseNameOf (toString url)
, executable ? false
, unpack ? false
, hash ? ""
, md5 ? ""
, sha1 ? ""
, sha256 ? ""
, sha512 ? ""
, given ?
    if hash != "" then { algo = ""; value = hash; }
    else if sha512 != "" then { algo = "sha512"; value = sha512; }
    else if sha1 != "" then { algo = "sha1"; value = sha1; }
    else if md5 != "" then { algo = "md5"; value = md5; }
    else { algo = "sha256"; value = sha256; }
, outputHash ? given.value
, outputHashAlgo ? given.algo
, system ? ""
}:
derivation {
  inherit name url executable unpack outputHash outputHashAlgo;
  outputHashMode = if unpack || executable then "recursive" else "flat";
  builder = "builtin:fetchurl";
  system = "builtin";
  urls = [ url ];
  preferLocalBuild = true;
  impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
}
`;
