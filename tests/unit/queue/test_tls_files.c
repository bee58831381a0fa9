/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys: what is wrong with them is said at the start. */
#include "tests/lib/tls_fixture.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* @return the sentence */
static const char *
refusal(struct tls_fixture *w, struct queue_gateway_options options, int rc)
{
	w->f->error[0] = 0;
	assert_int_equal(gf_open_gateway(w->f, options), rc);
	assert_null(w->f->gateway);
	return w->f->error;
}

static void
check_refusal(struct tls_fixture *w, struct queue_gateway_options options, int rc, const char *text)
{
	const char *said = refusal(w, options, rc);

	if (strstr(said, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", said, text);
}

static void
test_files_that_are_not_there(void **state)
{
	struct tls_fixture *w = *state;
	struct queue_gateway_options options = tf_options_of(w);

	options.tls_key = NULL;
	check_refusal(w, options, -EINVAL, "set [queue] tls_cert and tls_key");
	options.tls_cert = NULL;
	check_refusal(w, options, -EINVAL, "tls:127.0.0.1:0: TLS needs a certificate");
	options.tls_ca = w->ca;
	check_refusal(w, options, -EINVAL, "set [queue] tls_cert and tls_key");
	options = tf_options_of(w);
	options.tls_cert = "/nowhere";
	check_refusal(w, options, -ENOENT, "tls_cert /nowhere: No such file");
	options = tf_options_of(w);
	options.tls_key = "/nowhere";
	check_refusal(w, options, -ENOENT, "tls_key /nowhere: No such file");
	options = tf_options_of(w);
	options.tls_ca = w->f->folder;
	check_refusal(w, options, -EINVAL, "not a regular file");
}

static void
test_files_that_are_something_else(void **state)
{
	struct tls_fixture *w = *state;
	struct queue_gateway_options options = tf_options_of(w);

	options.tls_cert = w->key;
	check_refusal(w, options, -EINVAL, "no certificate in PEM that can be used");
	options = tf_options_of(w);
	options.tls_ca = w->key;
	check_refusal(w, options, -EINVAL, "tls_ca");
	options = tf_options_of(w);
	options.tls_key = w->cert;
	assert_int_equal(chmod(w->cert, 0600), 0);
	check_refusal(w, options, -EINVAL, "no private key in PEM");
	options.tls_key = w->key;
	assert_int_equal(chmod(w->key, 0640), 0);
	check_refusal(w, options, -EPERM, "others may read this key (mode 640): chmod 600");
	certificate_write(&w->authority, w->f->folder, "server2");
	snprintf(w->key, sizeof(w->key), "%s/server2.key", w->f->folder);
	check_refusal(w, options, -EINVAL, "does not belong to the certificate");
}

/* Whatever nobody can do with them. */
static void
test_certificates_for_something_else(void **state)
{
	struct tls_fixture *w = *state;
	struct queue_gateway_options options = tf_options_of(w);
	struct certificate c =
		certificate_make_with("client", &w->authority, NID_ext_key_usage, "clientAuth");

	certificate_write(&c, w->f->folder, "client");
	snprintf(w->cert, sizeof(w->cert), "%s/client.pem", w->f->folder);
	snprintf(w->key, sizeof(w->key), "%s/client.key", w->f->folder);
	options.tls_cert = w->cert;
	check_refusal(w, options, -EINVAL, "not for servers");
	snprintf(w->cert, sizeof(w->cert), "%s/server.pem", w->f->folder);
	snprintf(w->key, sizeof(w->key), "%s/server.key", w->f->folder);
	options.tls_ca = w->cert;
	check_refusal(w, options, -EINVAL, "not an authority's");
	certificate_free(&c);
}

static void
test_a_key_of_somebody_else(void **state)
{
	struct tls_fixture *w = *state;

	if (geteuid() != 0)
		skip(); /* to give it away */
	assert_int_equal(chown(w->key, 12345, 12345), 0);
	check_refusal(w, tf_options_of(w), -EPERM, "belongs to another user (12345)");
}

/* A start must not wait for whoever might write into it. */
static void
test_a_pipe_is_no_file(void **state)
{
	struct tls_fixture *w = *state;

	assert_int_equal(remove(w->cert), 0);
	assert_int_equal(mkfifo(w->cert, 0600), 0);
	check_refusal(w, tf_options_of(w), -EINVAL, "not a regular file");
}

static void
test_a_key_with_a_passphrase(void **state)
{
	struct tls_fixture *w = *state;
	FILE *file = fopen(w->key, "we");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, w->server.key, EVP_aes_128_cbc(),
				 (const unsigned char *)"secret", 6, NULL, NULL),
		1);
	assert_int_equal(fclose(file), 0);
	check_refusal(w, tf_options_of(w), -EINVAL, "has a passphrase");
}

static void
write_server(struct tls_fixture *w, long from_s, long until_s)
{
	struct certificate c = certificate_make("server", &w->authority, from_s, until_s);

	certificate_write(&c, w->f->folder, "server");
	certificate_free(&c);
}

static void
test_certificates_of_another_time(void **state)
{
	struct tls_fixture *w = *state;
	struct queue_gateway_options options = tf_options_of(w);
	struct certificate old = certificate_make("authority", NULL, -2 * DAY_S, -DAY_S);

	write_server(w, -2 * DAY_S, -DAY_S);
	check_refusal(w, options, -EINVAL, "the certificate has expired on 20");
	write_server(w, DAY_S, 2 * DAY_S);
	check_refusal(w, options, -EINVAL, "the certificate is not valid before 20");
	write_server(w, -DAY_S, DAY_S);
	certificate_write(&old, w->f->folder, "ca");
	options.tls_ca = w->ca;
	check_refusal(w, options, -EINVAL, "the certificate has expired on 20");
	options.tls_ca = NULL;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	certificate_free(&old);
}

static void
test_warnings(void **state)
{
	static const char warning[] = "whoever reaches port";
	static const char *const listens[] = { "tls:0.0.0.0:0", "127.0.0.2:0", "[::1]:0",
		"0.0.0.0:0" };
	struct tls_fixture *w = *state;
	struct queue_gateway_options options = tf_options_of(w);

	options.listens = listens;
	options.listen_count = 3;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_int_equal(w->f->log_bytes, 0);
	gf_stop(w->f);
	options.listen_count = 4;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_true(gf_has_logged(w->f, warning));
	assert_false(gf_has_logged(w->f, "nothing is encrypted"));
	gf_stop(w->f);
	options.listens = listens + 1;
	options.listen_count = 1;
	assert_int_equal(gf_open_gateway(w->f, options), 0);
	assert_true(gf_has_logged(w->f, "nothing is encrypted"));
}

int
main(void)
{
#define FILES(name) cmocka_unit_test_setup_teardown(name, tf_setup_files, tf_teardown)
	const struct CMUnitTest tests[] = {
		FILES(test_files_that_are_not_there),
		FILES(test_files_that_are_something_else),
		FILES(test_certificates_for_something_else),
		FILES(test_a_key_of_somebody_else),
		FILES(test_a_pipe_is_no_file),
		FILES(test_a_key_with_a_passphrase),
		FILES(test_certificates_of_another_time),
		FILES(test_warnings),
	};

	gf_take_descriptors();
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
