/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_NET_START_EAL_H
#define TEST_NET_START_EAL_H

#include <stdint.h>

/** As the test program of that name. @return 0; 77: there is no DPDK on this machine; 1: a mistake */
int start_eal(const char *program, const char *file_prefix, uint32_t memory_mib);

#endif
