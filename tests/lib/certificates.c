/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/certificates.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(x, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static struct certificate
make_unsigned(const char *name, const struct certificate *issuer, long from_s, long until_s)
{
	static long serial;
	struct certificate c = { .key = EVP_EC_gen("P-256"), .x = X509_new() };
	const struct certificate *by = issuer != NULL ? issuer : &c;

	assert_true(c.key != NULL && c.x != NULL);
	assert_int_equal(X509_set_version(c.x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(c.x), from_s));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(c.x), until_s));
	assert_int_equal(X509_set_pubkey(c.x, c.key), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN", MBSTRING_ASC,
				 (const unsigned char *)name, -1, -1, 0),
		1);
	assert_int_equal(X509_set_issuer_name(c.x, X509_get_subject_name(by->x)), 1);
	return c;
}

static void
sign(struct certificate *c, const struct certificate *issuer)
{
	assert_true(X509_sign(c->x, issuer != NULL ? issuer->key : c->key, EVP_sha256()) > 0);
}

struct certificate
certificate_make(const char *name, const struct certificate *issuer, long from_s, long until_s)
{
	struct certificate c = make_unsigned(name, issuer, from_s, until_s);
	X509 *by = issuer != NULL ? issuer->x : c.x;

	add_extension(c.x, by, NID_basic_constraints,
		issuer != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (issuer != NULL)
		add_extension(c.x, by, NID_subject_alt_name, "IP:127.0.0.1");
	sign(&c, issuer);
	return c;
}

struct certificate
certificate_make_with(
	const char *name, const struct certificate *issuer, int nid, const char *value)
{
	struct certificate c = make_unsigned(name, issuer, -86400, 86400);

	add_extension(c.x, issuer->x, nid, value);
	sign(&c, issuer);
	return c;
}

void
certificate_free(struct certificate *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->x);
	*c = (struct certificate){ 0 };
}

static FILE *
make_file(const char *folder, const char *name, const char *ending)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", folder, name, ending);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	return file;
}

void
certificate_write(const struct certificate *c, const char *folder, const char *name)
{
	FILE *file = make_file(folder, name, "pem");

	assert_int_equal(PEM_write_X509(file, c->x), 1);
	assert_int_equal(fclose(file), 0);
	file = make_file(folder, name, "key");
	assert_int_equal(PEM_write_PrivateKey(file, c->key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(file), 0);
}
