/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file ports.h
 * TCP ports of 127.0.0.1 that nobody has.
 */
#ifndef BENCH_PORTS_H
#define BENCH_PORTS_H

#include <stdint.h>

#define PORTS_COUNT_MAX 16

/** All are held until all are found, so that they differ; then somebody else may take them. @return
 * 0 or -errno */
int ports_choose(uint16_t *ret_ports, uint32_t count);

#endif
