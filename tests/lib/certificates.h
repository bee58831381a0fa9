/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file certificates.h
 * Keys and certificates for tests, made as they are needed. Whatever fails ends the test.
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct certificate {
	EVP_PKEY *key;
	X509 *x;
};

/**
 * @param issuer    who signs it; NULL: it is an authority, and signs itself
 * @param from_s    seconds from now, also of
 * @param until_s
 */
struct certificate
certificate_make(const char *name, const struct certificate *issuer, long from_s, long until_s);
/** Valid now, with this extension alone: @p value as in openssl.cnf. */
struct certificate certificate_make_with(
	const char *name, const struct certificate *issuer, int nid, const char *value);
void certificate_free(struct certificate *c);

/** Write FOLDER/NAME.pem with the certificate, and FOLDER/NAME.key, which its owner alone may read. */
void certificate_write(const struct certificate *c, const char *folder, const char *name);

#endif
