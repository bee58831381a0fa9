/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame has 64 bytes, the same for all transports:
 *
 *	 0   6  to whom:   02 00 00 00 00 PLACE
 *	 6   6  from whom: 02 00 00 00 00 PLACE
 *	12   2  88 b5, a type that IEEE leaves to experiments: the kernel drops it where it sees it
 *	14   2  zero
 *	16   8  the number, in the host's order
 */
#include "bench/wire.h"

#include "base/clock.h"
#include "bench/dpdk.h"
#include "net/net.h"

#include <assert.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_BYTES      64
#define FROM_OFFSET      6
#define TYPE_OFFSET      12
#define NUMBER_OFFSET    16
#define ADDRESS_BYTES    6
#define START_TIMEOUT_NS UINT64_C(10000000000)

static const uint8_t address[ADDRESS_BYTES - 1] = { 2, 0, 0, 0, 0 }; /* and a place behind it */
static const uint8_t type[2] = { 0x88, 0xb5 };
static const char *program_name = "bench";

void
wire_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_name, what);
	exit(1);
}

/* ------------------------------------------------------------------------------ ports */

/* A memif client that came before its server was ready must connect again: so try until it works. */
static void
port_start(uint16_t port, bool is_repeated)
{
	struct rte_eth_link link = { 0 };
	uint64_t begun = base_now_ns();

	for (int i = 0; link.link_status != RTE_ETH_LINK_UP; i++) {
		if (i % 100 == 0 && (i == 0 || is_repeated)) {
			(void)rte_eth_dev_stop(port);  /* it may not run, */
			(void)rte_eth_dev_start(port); /* and its server may not be there yet */
		}
		(void)rte_eth_link_get_nowait(port, &link); /* down, if it cannot tell */
		if (base_now_ns() - begun > START_TIMEOUT_NS)
			wire_die("a link does not come up");
		usleep(1000);
	}
}

/* @return how many devices, in texts of 256 bytes */
static uint16_t
name_devices(const struct wire_config *c, char texts[][256])
{
	uint32_t first = c->place == 0 ? 1 : c->place;
	uint32_t after = c->place == 0 ? c->place_count : c->place + 1;

	if (c->kind == WIRE_AF_PACKET)
		snprintf(texts[0], 256, "net_af_packet0,iface=node%u", c->place + 1);
	else if (c->kind == WIRE_AF_XDP)
		snprintf(texts[0], 256, "net_af_xdp0,iface=node%u,start_queue=0,queue_count=1",
			c->place + 1);
	else
		for (uint32_t i = first; i < after; i++)
			snprintf(texts[i - first], 256,
				"net_memif%u,role=%s,id=0,socket=%.150s/%u,socket-abstract=no",
				i - first, c->place == 0 ? "server" : "client", c->folder, i);
	return (uint16_t)(c->kind == WIRE_MEMIF ? after - first : 1);
}

void
wire_open(struct wire *w, const struct wire_config *c)
{
	char texts[NET_PORT_COUNT_MAX][256];
	const char *devices[NET_PORT_COUNT_MAX], *wrong;
	uint16_t ports[NET_PORT_COUNT_MAX]; /* virtual ones: 0, 1, ... */

	assert(c->place < c->place_count && c->place_count <= NET_PORT_COUNT_MAX);
	program_name = c->program;
	w->kind = c->kind;
	w->place = (uint8_t)c->place;
	w->port_count = name_devices(c, texts);
	for (uint32_t i = 0; i < w->port_count; i++)
		devices[i] = texts[i];
	wrong = dpdk_open(&(struct dpdk_config){ .program = program_name,
				  .devices = devices,
				  .device_count = w->port_count },
		ports, &w->pool);
	if (wrong != NULL)
		wire_die(wrong);
	for (uint16_t i = 0; i < w->port_count; i++)
		port_start(i, c->kind == WIRE_MEMIF && c->place > 0);
}

void
wire_close(struct wire *w)
{
	uint16_t ports[NET_PORT_COUNT_MAX];

	for (uint16_t i = 0; i < w->port_count; i++)
		ports[i] = i;
	dpdk_close(ports, w->port_count);
}

/* ------------------------------------------------------------------------------ frames */

static void
write_address(uint8_t *at, uint32_t place)
{
	memcpy(at, address, sizeof(address));
	at[sizeof(address)] = (uint8_t)place;
}

void
wire_send(struct wire *w, uint32_t to, uint64_t number)
{
	uint16_t port = w->kind == WIRE_MEMIF && w->place == 0 ? (uint16_t)(to - 1) : 0;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(w->pool);
	uint8_t *frame;

	frame = mbuf == NULL ? NULL : (uint8_t *)rte_pktmbuf_append(mbuf, FRAME_BYTES);
	if (frame == NULL)
		wire_die("out of buffers");
	memset(frame, 0, FRAME_BYTES);
	write_address(frame, to);
	write_address(frame + FROM_OFFSET, w->place);
	memcpy(frame + TYPE_OFFSET, type, sizeof(type));
	memcpy(frame + NUMBER_OFFSET, &number, sizeof(number));
	if (rte_eth_tx_burst(port, 0, &mbuf, 1) != 1) {
		rte_pktmbuf_free(mbuf);
		sched_yield();
	}
}

/* The kernel may send something of its own, and a bridge lets everybody see what is for somebody
 * whom it does not know yet. */
static bool
is_ours(const struct wire *w, const uint8_t *frame, uint32_t bytes)
{
	return bytes >= FRAME_BYTES && memcmp(frame + TYPE_OFFSET, type, sizeof(type)) == 0 &&
	       memcmp(frame + FROM_OFFSET, address, sizeof(address)) == 0 &&
	       frame[ADDRESS_BYTES - 1] == w->place &&
	       frame[FROM_OFFSET + ADDRESS_BYTES - 1] < NET_PORT_COUNT_MAX;
}

static bool
port_poll(const struct wire *w, uint16_t port, uint64_t *numbers)
{
	struct rte_mbuf *mbufs[NET_BURST];
	uint16_t count = rte_eth_rx_burst(port, 0, mbufs, NET_BURST);
	bool has_any = false;

	for (uint16_t i = 0; i < count; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);

		if (!is_ours(w, frame, mbufs[i]->data_len))
			continue;
		memcpy(&numbers[frame[FROM_OFFSET + ADDRESS_BYTES - 1]], frame + NUMBER_OFFSET,
			sizeof(*numbers));
		has_any = true;
	}
	rte_pktmbuf_free_bulk(mbufs, count);
	return has_any;
}

bool
wire_poll(struct wire *w, uint64_t *numbers)
{
	bool has_any = false;

	for (uint16_t i = 0; i < w->port_count; i++)
		has_any |= port_poll(w, i, numbers);
	return has_any;
}
