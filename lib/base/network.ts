// Failures of connections by their codes: which of them say that the other side is not who it should be.

/** Codes of OpenSSL and Node for certificates and handshakes that are refused, by either side. */
const UNTRUSTED =
  /CERT|CRL|SIGNED|SIGNATURE|^ERR_SSL_|^ERR_TLS_(?!HANDSHAKE_TIMEOUT)|^UNABLE_TO_|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH_EXCEEDED$|^HOSTNAME_MISMATCH$/;

/** Whether a server is not who it should be, or does not take us for who we should be: no further try mends that. */
export function isUntrusted(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && UNTRUSTED.test(code)) return true;
  }
  return false;
}
