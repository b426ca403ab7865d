{ stdenv, fetchurl, shared ? true }:
stdenv.mkDerivation {
  pname = "zlib";
  version = "1.2.11";
  src = fetchurl {
    url = "https://example.org/zlib-1.2.11.tar.gz";
    sha256 = "c3e5e9fdd5004dcb542feda5ee4f0ff0744628baf8ed2dd5d66f8ca1197cb1a1";
  };
  outputs = [ "out" "dev" "static" ];
  configureFlags = if shared then [ "--shared" ] else [ ];
  postInstall = ''
    moveToOutput lib/libz.a "$static"
    ln -s ${placeholder "dev"}/include $out/include
  '';
  meta.description = "Lossless data compression";
}
