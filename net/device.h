/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file device.h
 * What the name of a port tells. See also net_device_check().
 */
#ifndef DECREE_NET_DEVICE_H
#define DECREE_NET_DEVICE_H

#include <stdbool.h>

/** "0000:3b:00.0" or "3b:00.0", perhaps with device arguments behind a comma. */
bool device_is_pci(const char *device);

#endif
