/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys. They are read once, at the start, and everything that would only show when
 * the first client comes is looked for then: whoever starts the node is there to read it.
 *
 * TLS 1.3 only. No tickets: clients of a queue stay connected, and a handshake without them has no
 * state that outlives it.
 */
#include "queue/serve/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
complain(int rc, char *ret_error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
complain(int rc, char *ret_error, const char *format, ...)
{
	va_list arguments;
	int length = snprintf(ret_error, DECREE_ERROR_BYTES, "queue: ");

	va_start(arguments, format);
	vsnprintf(ret_error + length, (size_t)(DECREE_ERROR_BYTES - length), format, arguments);
	va_end(arguments);
	return rc;
}

/* What OpenSSL says last, which is the nearest to what was asked of it. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text != NULL ? text : "it cannot be read";
}

/* @param key  of the configuration, which the path was given for */
static int
check_file(const char *key, const char *path, char *ret_error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for a writer */
	struct stat status;
	int rc = fd < 0 || fstat(fd, &status) != 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd); /* it was only looked at */
	if (rc != 0)
		return complain(rc, ret_error, "%s %.200s: %s", key, path, strerror(-rc));
	if (!S_ISREG(status.st_mode))
		return complain(-EINVAL, ret_error, "%s %.200s: not a regular file", key, path);
	return 0;
}

/* ------------------------------------------------------------------------------ the certificate */

static void
print_time(const ASN1_TIME *time, char *ret, size_t capacity)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 ||
		strftime(ret, capacity, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(ret, capacity, "a time that nobody can read");
}

static int
check_dates(const char *key, const char *path, const X509 *x, char *ret_error)
{
	char text[64];

	if (X509_cmp_current_time(X509_get0_notAfter(x)) <= 0) {
		print_time(X509_get0_notAfter(x), text, sizeof(text));
		return complain(-EINVAL, ret_error,
			"%s %.200s: the certificate has expired on %s: put a new one there", key,
			path, text);
	}
	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0) {
		print_time(X509_get0_notBefore(x), text, sizeof(text));
		return complain(-EINVAL, ret_error,
			"%s %.200s: the certificate is not valid before %s: wait, or set this "
			"host's clock",
			key, path, text);
	}
	return 0;
}

/* Clients look at it, too, and would say no. */
static int
check_server(const char *path, X509 *x, char *ret_error)
{
	if (X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0) == 1)
		return 0;
	return complain(-EINVAL, ret_error,
		"tls_cert %.200s: the certificate says that it is not for servers "
		"(extendedKeyUsage, keyUsage): put one there that is",
		path);
}

static int
load_certificate(struct queue_gateway *g, const char *path, char *ret_error)
{
	int rc = check_file("tls_cert", path, ret_error);
	X509 *x;

	if (rc != 0)
		return rc;
	if (SSL_CTX_use_certificate_chain_file(g->tls, path) != 1)
		return complain(-EINVAL, ret_error,
			"tls_cert %.200s: no certificate in PEM that can be used: %s", path,
			reason());
	x = SSL_CTX_get0_certificate(g->tls);
	rc = check_dates("tls_cert", path, x, ret_error);
	return rc != 0 ? rc : check_server(path, x, ret_error);
}

/* ------------------------------------------------------------------------------ the key */

/* OpenSSL would ask the terminal. */
static int
has_passphrase(char *ret, int capacity, int is_writing, void *context)
{
	(void)ret, (void)capacity, (void)is_writing;
	*(bool *)context = true;
	return -1;
}

/* A certificate has none. */
static int
has_no_passphrase(char *ret, int capacity, int is_writing, void *context)
{
	(void)ret, (void)capacity, (void)is_writing, (void)context;
	return -1;
}

static int
read_key(int fd, const char *path, EVP_PKEY **ret_key, char *ret_error)
{
	BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
	bool is_locked = false;

	if (bio == NULL)
		return complain(-ENOMEM, ret_error, "out of memory");
	*ret_key = PEM_read_bio_PrivateKey(bio, NULL, has_passphrase, &is_locked);
	BIO_free(bio);
	if (*ret_key != NULL)
		return 0;
	if (is_locked)
		return complain(-EINVAL, ret_error,
			"tls_key %.200s: the key has a passphrase, and nobody to type it: write it "
			"without one (openssl pkey -in OLD -out NEW)",
			path);
	return complain(
		-EINVAL, ret_error, "tls_key %.200s: no private key in PEM: %s", path, reason());
}

/* Ours alone; or root's, who may let a group read it that we are in, as Debian does with ssl-cert. */
static int
check_owner(const char *path, const struct stat *status, char *ret_error)
{
	bool is_roots = status->st_uid == 0 && geteuid() != 0;

	if (status->st_uid != geteuid() && !is_roots)
		return complain(-EPERM, ret_error,
			"tls_key %.150s: this key belongs to another user (%u): chown it to the "
			"user of decreed",
			path, status->st_uid);
	if ((status->st_mode & (is_roots ? 027 : 077)) != 0)
		return complain(-EPERM, ret_error,
			"tls_key %.150s: others may read this key (mode %03o): chmod %s %.150s",
			path, status->st_mode & 0777, is_roots ? "640" : "600", path);
	return 0;
}

static int
open_key(const char *path, int *ret_fd, char *ret_error)
{
	int rc = check_file("tls_key", path, ret_error);
	struct stat status;
	int fd;

	if (rc != 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0)
		rc = complain(-errno, ret_error, "tls_key %.200s: %s", path, strerror(errno));
	else
		rc = check_owner(path, &status, ret_error);
	if (rc == 0)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd); /* nothing was read */
	return rc;
}

static int
load_key(struct queue_gateway *g, const char *path, const char *certificate, char *ret_error)
{
	EVP_PKEY *key;
	int fd, rc = open_key(path, &fd, ret_error);

	if (rc != 0)
		return rc;
	rc = read_key(fd, path, &key, ret_error);
	(void)close(fd); /* it was only read */
	if (rc != 0)
		return rc;
	if (X509_check_private_key(SSL_CTX_get0_certificate(g->tls), key) != 1)
		rc = complain(-EINVAL, ret_error,
			"tls_key %.150s does not belong to the certificate %.150s: name the two "
			"that were made together",
			path, certificate);
	else if (SSL_CTX_use_PrivateKey(g->tls, key) != 1)
		rc = complain(-EINVAL, ret_error, "tls_key %.200s: it cannot be used: %s", path,
			reason());
	EVP_PKEY_free(key);
	return rc;
}

/* ------------------------------------------------------------------- whom clients are signed by */

static int
check_authority(const char *path, X509 *x, char *ret_error)
{
	if (X509_check_ca(x) == 0)
		return complain(-EINVAL, ret_error,
			"tls_ca %.200s: the certificate is not an authority's (CA:FALSE), so "
			"nobody's can be signed by it: name the one that signs clients",
			path);
	return check_dates("tls_ca", path, x, ret_error);
}

/* One that is valid suffices: an old and a new one stand side by side while they are exchanged. */
static int
check_authorities(const char *path, X509_STORE *store, char *ret_error)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	int rc = complain(-EINVAL, ret_error, "tls_ca %.200s: no certificate in PEM", path);

	for (int i = 0; i < sk_X509_OBJECT_num(objects) && rc != 0; i++) {
		X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

		if (x != NULL)
			rc = check_authority(path, x, ret_error);
	}
	return rc;
}

static int
load_authority(struct queue_gateway *g, const char *path, char *ret_error)
{
	STACK_OF(X509_NAME) * names;
	int rc = check_file("tls_ca", path, ret_error);

	if (rc != 0)
		return rc;
	names = SSL_load_client_CA_file(path);
	if (names == NULL || SSL_CTX_load_verify_file(g->tls, path) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return complain(-EINVAL, ret_error, "tls_ca %.200s: no certificate in PEM: %s",
			path, reason());
	}
	SSL_CTX_set_client_CA_list(g->tls, names); /* it owns them now */
	SSL_CTX_set_verify(g->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	/* An authority that another one has signed is as good as any: it was named. */
	(void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(g->tls), X509_V_FLAG_PARTIAL_CHAIN);
	return check_authorities(path, SSL_CTX_get_cert_store(g->tls), ret_error);
}

/* ------------------------------------------------------------------------------ all of it */

static int
make_context(struct queue_gateway *g, char *ret_error)
{
	g->tls = SSL_CTX_new(TLS_server_method());
	g->tls_bio = tls_make_bio();
	if (g->tls == NULL || g->tls_bio == NULL ||
		SSL_CTX_set_min_proto_version(g->tls, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_num_tickets(g->tls, 0) != 1)
		return complain(-ENOMEM, ret_error, "OpenSSL cannot begin: %s", reason());
	(void)SSL_CTX_set_session_cache_mode(g->tls, SSL_SESS_CACHE_OFF); /* these cannot fail */
	/* The chain is what tls_cert has, and not what could be made of those of tls_ca. */
	(void)SSL_CTX_set_mode(g->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_default_passwd_cb(g->tls, has_no_passphrase);
	return 0;
}

int
tls_open(struct queue_gateway *g, const struct queue_gateway_options *o, char *ret_error)
{
	int rc;

	if (o->tls_cert == NULL && o->tls_key == NULL && o->tls_ca == NULL)
		return 0;
	if (o->tls_cert == NULL || o->tls_key == NULL)
		return complain(-EINVAL, ret_error,
			"TLS needs a certificate and its key: set [queue] tls_cert and tls_key");
	ERR_clear_error();
	rc = make_context(g, ret_error);
	if (rc == 0)
		rc = load_certificate(g, o->tls_cert, ret_error);
	if (rc == 0)
		rc = load_key(g, o->tls_key, o->tls_cert, ret_error);
	if (rc == 0 && o->tls_ca != NULL)
		rc = load_authority(g, o->tls_ca, ret_error);
	ERR_clear_error();
	return rc;
}

void
tls_close(struct queue_gateway *g)
{
	SSL_CTX_free(g->tls);
	BIO_meth_free(g->tls_bio);
}
