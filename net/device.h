/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file device.h
 * What the name of a port tells. See also net_device_check().
 */
#ifndef DECREE_NET_DEVICE_H
#define DECREE_NET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/** "0000:3b:00.0" or "3b:00.0", perhaps with device arguments behind a comma. */
bool device_is_pci(const char *device);

/** A link of shared memory between two processes, of which one is the server. */
bool device_is_memif(const char *device);
bool device_is_memif_server(const char *device);

/** A memif client's: this process has a connection to its server, or to one whose socket has the
 * same name. Reads the list of open files, and takes true for an answer if there is none. */
bool device_has_connection(const char *device);

/** Told to take larger packets, these drivers do. @return how to tell it, with "or" behind; "" if
 * there is no way */
const char *device_room_advice(const char *device);

/**
 * The largest Ethernet frame that a port takes. Two drivers tell the same whatever they are given:
 * memif has room for what `bsize` says (a frame in several of its buffers passes, but hardly ever:
 * DPDK 22.11), and af_packet for what `framesz` says.
 *
 * @param told_bytes  by the driver
 */
uint32_t device_frame_bytes(const char *device, uint32_t told_bytes);

#endif
