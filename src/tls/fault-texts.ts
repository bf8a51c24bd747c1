// What errors of certificates mean, for pages and logs. Names are OpenSSL's and Squid's; those that are not here speak for
// themselves.

export const faultTexts: Readonly<Record<string, string>> = {
  SQUID_X509_V_ERR_DOMAIN_MISMATCH: 'the certificate is for another name',
  X509_V_ERR_CERT_HAS_EXPIRED: 'the certificate has expired',
  X509_V_ERR_CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  X509_V_ERR_CERT_REVOKED: 'the certificate has been revoked',
  X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is signed by itself, and not trusted here',
  X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: 'the certificate leads to a root that is not trusted here',
  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: 'the certificate of an issuer is missing',
  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the issuer of the certificate is not known here, or the server forgets to send its certificate',
  X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the issuer of the certificate is not known here, or the server forgets to send its certificate',
  X509_V_ERR_CERT_SIGNATURE_FAILURE: 'the signature of the certificate is wrong',
  X509_V_ERR_CERT_CHAIN_TOO_LONG: 'the chain of certificates is too long',
  X509_V_ERR_INVALID_CA: 'a certificate in the chain is not that of a CA',
  X509_V_ERR_INVALID_PURPOSE: 'the certificate is not for servers',
  X509_V_ERR_CERT_UNTRUSTED: 'a certificate in the chain is not trusted',
  X509_V_ERR_CERT_REJECTED: 'a certificate in the chain is rejected here',
  X509_V_ERR_PATH_LENGTH_EXCEEDED: 'there are more CAs in the chain than one of them allows',
  X509_V_ERR_KEYUSAGE_NO_CERTSIGN: 'an issuer may not sign certificates',
  X509_V_ERR_PERMITTED_VIOLATION: 'a CA in the chain is limited to certain names, which is not looked into where something else is wrong',
  X509_V_ERR_UNABLE_TO_GET_CRL: 'no revocation list of its issuer is known here',
  X509_V_ERR_CRL_HAS_EXPIRED: 'the revocation list of its issuer has expired',
  X509_V_ERR_CRL_NOT_YET_VALID: 'the revocation list of its issuer is not valid yet',
  X509_V_ERR_EE_KEY_TOO_SMALL: 'the key of the certificate is too small',
  X509_V_ERR_CA_KEY_TOO_SMALL: 'the key of an issuer is too small',
  X509_V_ERR_CA_MD_TOO_WEAK: 'a certificate in the chain is signed with a hash that is too weak',
  X509_V_ERR_HOSTNAME_MISMATCH: 'the certificate is for another name',
}

/** A sentence for people; '' = none is known. */
export const faultText = (fault: string): string => faultTexts[fault] ?? ''
