/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: 64 hexadecimal digits, perhaps a newline, mode 0600. */
#include "engine/runtime/config.h"

#include "base/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGIT_COUNT (2 * CONFIG_KEY_BYTES)

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
digits_to_key(const char *digits, uint8_t key[CONFIG_KEY_BYTES])
{
	for (uint32_t i = 0; i < CONFIG_KEY_BYTES; i++) {
		int high = hex_digit(digits[2 * i]);
		int low = hex_digit(digits[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int
read_digits(int fd, const char *path, char digits[DIGIT_COUNT + 2], char *error)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) != 0)
		return base_refuse(-errno, error, "%.300s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return base_refuse(-EBADMSG, error, "%.300s: not a regular file", path);
	if ((st.st_mode & 077) != 0)
		return base_refuse(-EPERM, error,
			"%.200s: others may read this key (mode %03o): chmod 600 %.200s", path,
			st.st_mode & 0777, path);
	got = read(fd, digits, DIGIT_COUNT + 2);
	if (got < 0)
		return base_refuse(-errno, error, "%.300s: %s", path, strerror(errno));
	if (got == DIGIT_COUNT || (got == DIGIT_COUNT + 1 && digits[DIGIT_COUNT] == '\n'))
		return 0;
	return base_refuse(-EBADMSG, error,
		"%.300s: a key is one line of %d hexadecimal digits; create one with 'decree "
		"format --new-keys' or 'openssl rand -hex 32'",
		path, DIGIT_COUNT);
}

int
config_key_read(const char *path, uint8_t ret_key[CONFIG_KEY_BYTES], char *ret_error)
{
	char digits[DIGIT_COUNT + 2];
	uint8_t key[CONFIG_KEY_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
	int rc;

	if (fd < 0)
		return base_refuse(-errno, ret_error, "%.300s: cannot read the key: %s%s", path,
			strerror(errno),
			errno == ENOENT
				? "; copy it from another node, or create it with 'decree format "
				  "--new-keys'"
				: "");
	rc = read_digits(fd, path, digits, ret_error);
	(void)close(fd); /* read only */
	if (rc == 0 && !digits_to_key(digits, key))
		rc = base_refuse(-EBADMSG, ret_error, "%.300s: not hexadecimal digits", path);
	if (rc == 0)
		memcpy(ret_key, key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(digits, sizeof(digits));
	return rc;
}

static int
write_key(int fd)
{
	char digits[DIGIT_COUNT + 2];
	uint8_t key[CONFIG_KEY_BYTES];
	int rc = 0;

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return -EIO;
	for (uint32_t i = 0; i < CONFIG_KEY_BYTES; i++)
		(void)snprintf(digits + 2 * i, 3, "%02x", key[i]); /* two digits: fits */
	digits[DIGIT_COUNT] = '\n';
	if (write(fd, digits, DIGIT_COUNT + 1) != DIGIT_COUNT + 1 || fsync(fd) != 0)
		rc = errno != 0 ? -errno : -EIO;
	explicit_bzero(key, sizeof(key));
	explicit_bzero(digits, sizeof(digits));
	return rc;
}

int
config_key_create(const char *path, char *ret_error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return base_refuse(-errno, ret_error, "%.300s: cannot create the key file: %s%s",
			path, strerror(errno), errno == ENOENT ? "; make its folder first" : "");
	rc = write_key(fd);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc != 0) {
		(void)unlink(path); /* half a key is no key; nothing more can be done about it */
		return base_refuse(rc, ret_error, "%.300s: cannot write the key file: %s", path,
			strerror(-rc));
	}
	return 0;
}
