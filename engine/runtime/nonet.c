/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster of one node without ports: nobody to hear, nobody to tell. */
#include "engine/runtime/node_private.h"

static uint32_t
nonet_recv(void *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	(void)net, (void)now_ns, (void)ret_frames, (void)count_max;
	return 0;
}

static void
nonet_release(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net, (void)frames, (void)count;
}

static uint32_t
nonet_alloc(void *net, struct net_frame *ret_frames, uint32_t count)
{
	(void)net, (void)ret_frames, (void)count;
	return 0;
}

static void
nonet_send(void *net, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	(void)net, (void)now_ns, (void)frames, (void)count;
}

static void
nonet_tick(void *net, uint64_t now_ns)
{
	(void)net, (void)now_ns;
}

const struct net_ops nonet_ops = {
	nonet_recv,
	nonet_release,
	nonet_alloc,
	nonet_send,
	nonet_tick,
};
