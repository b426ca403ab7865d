{ stdenv, lib, fetchurl, zlib, gettext ? null, config }:
stdenv.mkDerivation rec {
  pname = "hello";
  version = "2.10";
  src = fetchurl {
    url = "https://example.org/${pname}-${version}.tar.gz";
    sha256 = "0ssi1wpaf7plaswqqjwigppsg5fyh99vdlb9kzl7c9lng89ndq1i";
  };
  patches = [ ../fix.patch ] ++ lib.optional (gettext != null) ./gettext.patch;
  buildInputs = [ zlib ];
  doCheck = config.check or true;
  quoted = "tab\tnewline\nquote\"backslash\\dollar\${x}";
  numbers = [ 1 2 (-3) [ ] [ "four" [ 5 ] ] true false null ];
  env.GREETING = "hällo";
}
