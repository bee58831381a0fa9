/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int
ports_choose(uint16_t *ret_ports, uint32_t count)
{
	int fds[PORTS_COUNT_MAX], rc = count <= PORTS_COUNT_MAX ? 0 : -E2BIG;
	uint32_t held = 0;

	for (; rc == 0 && held < count; held++) {
		struct sockaddr_in at = { .sin_family = AF_INET,
			.sin_addr = { htonl(INADDR_LOOPBACK) } };
		socklen_t bytes = sizeof(at);

		fds[held] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[held] < 0 || bind(fds[held], (struct sockaddr *)&at, bytes) != 0 ||
			getsockname(fds[held], (struct sockaddr *)&at, &bytes) != 0)
			rc = -errno;
		ret_ports[held] = ntohs(at.sin_port);
	}
	while (held-- > 0)
		if (fds[held] >= 0)
			(void)close(fds[held]); /* nothing was sent */
	return rc;
}
