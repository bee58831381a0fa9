/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/capture.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "engine/runtime/node_private.h"
#include "engine/runtime/pcapng.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS     (2 * 1000 * 1000l)
#define LET_GO_NS   (1000 * 1000 * 1000ull) /* a shard does within a tick, unless it hangs */
#define BURST_COUNT 1024                    /* of one shard, before the next one's turn */

/* ------------------------------------------------------------------------------ requests */

static enum client_admin_status
begin(struct capture *c, uint64_t token, const uint8_t *arguments, char *ret_text)
{
	uint32_t seconds = load_u32(arguments);
	uint32_t mib = load_u32(arguments + 4), snap_bytes = load_u32(arguments + 8);

	if (seconds == 0 || seconds > CAPTURE_SECONDS_MAX || mib == 0 || mib > CAPTURE_MIB_MAX ||
		snap_bytes < TAP_SNAP_BYTES_MIN || snap_bytes > TAP_SNAP_BYTES_MAX) {
		(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1,
			"a capture takes 1 to %u seconds, 1 to %u MiB, and %u to %u bytes of each "
			"frame",
			CAPTURE_SECONDS_MAX, CAPTURE_MIB_MAX, TAP_SNAP_BYTES_MIN,
			TAP_SNAP_BYTES_MAX);
		return CLIENT_ADMIN_REFUSED;
	}
	c->token = token;
	c->seconds = seconds;
	c->mib = mib;
	c->snap_bytes = snap_bytes;
	c->rc = 0;
	c->text[0] = '\0';
	atomic_store_explicit(&c->is_stopped, false, memory_order_relaxed);
	/* Release: pairs with the acquire in capture_tick(). */
	atomic_store_explicit(&c->state, CAPTURE_ASKED, memory_order_release);
	(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1, "it begins");
	return CLIENT_ADMIN_PENDING;
}

static enum client_admin_status
stop(struct capture *c, uint32_t state, char *ret_text)
{
	bool is_under_way = state == CAPTURE_ASKED || state == CAPTURE_RUNNING;

	atomic_store_explicit(&c->is_stopped, true, memory_order_relaxed);
	(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1, "%s",
		is_under_way ? "it ends now" : "no capture is under way");
	return CLIENT_ADMIN_DONE;
}

enum client_admin_status
capture_on_request(
	void *context, uint64_t token, uint32_t op, const uint8_t *arguments, char *ret_text)
{
	struct node_shard *ns = context;
	struct capture *c = &ns->node->capture;
	/* Acquire: pairs with the release in capture_main(); the outcome is whole. */
	uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

	/* The shard that owns group 0 is the only one that moves the state on. */
	if (ns->index != 0) {
		(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1, "ask group 0 for this");
		return CLIENT_ADMIN_REFUSED;
	}
	if (op == DECREE_ADMIN_CAPTURE_STOP)
		return stop(c, state, ret_text);
	if (state == CAPTURE_NONE || (state == CAPTURE_TOLD && c->token != token))
		return begin(c, token, arguments, ret_text);
	if (c->token != token) {
		(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1,
			"a capture is under way already: wait for its end, or stop it");
		return state == CAPTURE_ENDED ? CLIENT_ADMIN_BUSY : CLIENT_ADMIN_REFUSED;
	}
	if (state == CAPTURE_ASKED || state == CAPTURE_RUNNING) {
		(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1, "it is under way");
		return CLIENT_ADMIN_PENDING;
	}
	(void)snprintf(ret_text, CLIENT_ADMIN_TEXT_BYTES + 1, "%s", c->text);
	return c->rc == 0 ? CLIENT_ADMIN_DONE : CLIENT_ADMIN_FAILED;
}

/* ------------------------------------------------------------------------------ the file */

/* owner: the capture's thread */
struct writing {
	struct decree_node *node;
	struct capture *capture;
	char path[CONFIG_PATH_BYTES + sizeof(CAPTURE_FILE_NAME)];
	FILE *file;
	uint64_t bytes, bytes_max;
	uint64_t unix_offset_ns; /* from the node's clock */
	uint64_t frame_count;
	uint64_t counts[DECREE_SHARD_COUNT_MAX][CONFIG_PORT_COUNT_MAX];
	uint8_t frame[TAP_SNAP_BYTES_MAX];
	uint8_t block[PCAPNG_PACKET_BYTES_MAX + TAP_SNAP_BYTES_MAX];
};

static int
fail(struct writing *w, int rc, const char *what)
{
	if (w->capture->rc == 0) {
		w->capture->rc = rc;
		(void)snprintf(
			w->capture->text, sizeof(w->capture->text), "%s: %s", what, strerror(-rc));
	}
	return rc;
}

static void
write_block(struct writing *w, uint32_t bytes)
{
	w->bytes += bytes;
	if (fwrite(w->block, 1, bytes, w->file) != bytes)
		(void)fail(w, -errno, "writing " CAPTURE_FILE_NAME);
}

static int
open_file(struct writing *w)
{
	struct statvfs space;
	int fd;

	(void)snprintf(
		w->path, sizeof(w->path), "%s/%s", w->node->config.data_dir, CAPTURE_FILE_NAME);
	if (unlink(w->path) != 0 && errno != ENOENT)
		return fail(w, -errno, "removing the last " CAPTURE_FILE_NAME);
	if (statvfs(w->node->config.data_dir, &space) != 0)
		return fail(w, -errno, "asking for space in data_dir");
	/* What snapshots need is on the same disk, perhaps. */
	if (w->bytes_max > (uint64_t)space.f_bavail * space.f_frsize / 2)
		return fail(w, -ENOSPC, "it might take more than half of what is free in data_dir");
	fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(w, -errno, "making " CAPTURE_FILE_NAME " in data_dir");
	w->file = fdopen(fd, "w");
	if (w->file == NULL) {
		(void)close(fd); /* empty */
		return fail(w, -ENOMEM, "making " CAPTURE_FILE_NAME);
	}
	return 0;
}

static uint32_t
interface_of(const struct writing *w, uint32_t shard, uint32_t port)
{
	return shard * net_port_count(w->node->net) + port;
}

static void
write_beginning(struct writing *w)
{
	const struct decree_node *node = w->node;
	char name[64], text[PCAPNG_TEXT_BYTES_MAX];

	(void)snprintf(name, sizeof(name), "decree node %u", node->config.node_id);
	(void)snprintf(text, sizeof(text),
		"cluster %llx, node %u. Copied inside the node: a sent frame before the port, "
		"which may compute its UDP checksum, or refuse it",
		(unsigned long long)node->config.cluster_id, node->config.node_id);
	write_block(w, pcapng_section(name, text, w->block));
	for (uint32_t shard = 0; shard < node->shard_count; shard++)
		for (uint32_t port = 0; port < net_port_count(node->net); port++) {
			(void)snprintf(name, sizeof(name), "node%u-shard%u-port%u",
				node->config.node_id, shard, port);
			write_block(w, pcapng_interface(name, net_port_device(node->net, port),
					       w->capture->snap_bytes, w->block));
		}
}

static void
write_frame(struct writing *w, uint32_t shard, const struct tap_record *record)
{
	struct pcapng_packet packet = {
		.interface = interface_of(w, shard, record->port),
		.unix_ns = record->stamp_ns + w->unix_offset_ns,
		.kept_bytes = record->kept_bytes,
		.frame_bytes = record->frame_bytes,
		.is_sent = record->direction == TAP_SENT,
	};

	write_block(w, pcapng_packet(&packet, w->frame, w->block));
	w->frame_count++;
	w->counts[shard][record->port]++;
}

static bool
is_full(const struct writing *w)
{
	/* What comes at the end fits as well. */
	return w->bytes + sizeof(w->block) +
		       (uint64_t)w->node->shard_count * CONFIG_PORT_COUNT_MAX *
			       PCAPNG_BLOCK_BYTES_MAX >
	       w->bytes_max;
}

/* @return whether there was anything */
static bool
drain(struct writing *w)
{
	bool has_any = false;

	for (uint16_t shard = 0; shard < w->node->shard_count; shard++) {
		struct tap *tap = net_shard_tap(w->node->net, shard);
		struct tap_record record;

		for (uint32_t i = 0; i < BURST_COUNT && !is_full(w) && w->capture->rc == 0; i++) {
			if (!tap_pop(tap, &record, w->frame))
				break;
			write_frame(w, shard, &record);
			has_any = true;
		}
	}
	return has_any;
}

static uint64_t
write_end(struct writing *w)
{
	const struct decree_node *node = w->node;
	uint64_t now_ns = node_now_ns() + w->unix_offset_ns, lost = 0;

	/* A tap is of a shard: what found no room is told beside its first port. */
	for (uint16_t shard = 0; shard < node->shard_count; shard++)
		for (uint32_t port = 0; port < net_port_count(node->net); port++) {
			uint64_t here =
				port == 0 ? tap_lost_count(net_shard_tap(node->net, shard)) : 0;

			lost += here;
			write_block(w, pcapng_statistics(interface_of(w, shard, port), now_ns,
					       w->counts[shard][port] + here, here, w->block));
		}
	return lost;
}

/* ------------------------------------------------------------------------------ the thread */

static void
copy_until_end(struct writing *w)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	uint64_t until_ns = node_now_ns() + w->capture->seconds * 1000000000ull;

	while (node_now_ns() < until_ns && w->capture->rc == 0 && !is_full(w) &&
		!atomic_load_explicit(&w->capture->is_stopped, memory_order_relaxed) &&
		!atomic_load_explicit(&w->node->stop, memory_order_relaxed))
		if (!drain(w))
			(void)nanosleep(&pause, NULL); /* cut short: looks again sooner */
	net_tap_end(w->node->net);
	until_ns = node_now_ns() + LET_GO_NS;
	while (!net_tap_has_ended(w->node->net) && node_now_ns() < until_ns &&
		!atomic_load_explicit(&w->node->stop, memory_order_relaxed))
		(void)nanosleep(&pause, NULL); /* as above */
	while (drain(w))
		;
}

static void
write_all(struct writing *w)
{
	struct capture *c = w->capture;
	uint64_t lost;

	if (net_tap_begin(w->node->net, c->snap_bytes) != 0) {
		(void)fail(w, -EBUSY, "a shard has not let go of the capture before");
		return;
	}
	w->unix_offset_ns = base_clock_ns(CLOCK_REALTIME) - node_now_ns();
	write_beginning(w);
	copy_until_end(w);
	lost = write_end(w);
	if (fflush(w->file) != 0)
		(void)fail(w, -errno, "writing " CAPTURE_FILE_NAME);
	if (c->rc == 0)
		(void)snprintf(c->text, sizeof(c->text),
			"node %u: %llu frames%s, %llu left out for want of room, %llu bytes in "
			"%.100s",
			w->node->config.node_id, (unsigned long long)w->frame_count,
			is_full(w) ? " (the file is full)" : "", (unsigned long long)lost,
			(unsigned long long)w->bytes, w->path);
}

static void *
capture_main(void *context)
{
	struct decree_node *node = context;
	struct writing *w = calloc(1, sizeof(*w));

	prctl(PR_SET_NAME, "decree-capture");
	if (w == NULL) {
		node->capture.rc = -ENOMEM;
		(void)snprintf(node->capture.text, sizeof(node->capture.text), "out of memory");
	} else {
		w->node = node;
		w->capture = &node->capture;
		w->bytes_max = (uint64_t)node->capture.mib << 20;
		if (open_file(w) == 0) {
			write_all(w);
			(void)fclose(w->file); /* flushed */
		}
	}
	free(w);
	/* Release: pairs with the acquires in capture_on_request() and capture_tick(). */
	atomic_store_explicit(&node->capture.state, CAPTURE_ENDED, memory_order_release);
	return NULL;
}

/* ------------------------------------------------------------------------------ control thread */

static void
start(struct decree_node *node)
{
	struct capture *c = &node->capture;
	int rc;

	capture_join(node); /* of the one before, which has ended */
	node_log(node, NOTE_CAPTURE,
		"an operator has this node's frames captured, for %u s or %u MiB, into %.200s/%s",
		c->seconds, c->mib, node->config.data_dir, CAPTURE_FILE_NAME);
	atomic_store_explicit(&c->state, CAPTURE_RUNNING, memory_order_relaxed);
	rc = node->net == NULL ? -ENODEV
			       : control_thread_start(node, &c->thread, capture_main, node);
	c->has_thread = rc == 0;
	if (rc == 0)
		return;
	c->rc = rc;
	(void)snprintf(c->text, sizeof(c->text), "%s",
		node->net == NULL ? "this node has no ports" : strerror(-rc));
	atomic_store_explicit(&c->state, CAPTURE_ENDED, memory_order_release);
}

void
capture_tick(struct decree_node *node)
{
	struct capture *c = &node->capture;
	/* Acquire: pairs with the releases in begin() and capture_main(). */
	uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

	if (state == CAPTURE_ASKED) {
		start(node);
	} else if (state == CAPTURE_ENDED) {
		node_log(node, c->rc == 0 ? NOTE_CAPTURE : NOTE_CAPTURE_FAILED,
			"the capture has ended: %s", c->text);
		/* Release: pairs with the acquire in capture_on_request(); we have read it. */
		atomic_store_explicit(&c->state, CAPTURE_TOLD, memory_order_release);
	}
}

void
capture_join(struct decree_node *node)
{
	if (node->capture.has_thread)
		pthread_join(node->capture.thread, NULL);
	node->capture.has_thread = false;
}
