/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file msg_example.h
 * One message of each type, for tests of what carries or shows them.
 */
#ifndef TESTS_LIB_MSG_EXAMPLE_H
#define TESTS_LIB_MSG_EXAMPLE_H

#include "engine/core/msg.h"

/** Every field different. Values are text, no slot's value; a Promise lists nothing. */
struct eng_msg msg_example(enum eng_msg_type type);

#endif
