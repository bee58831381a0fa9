/* SPDX-License-Identifier: Apache-2.0 */
/** What TUBES, JOBS and HELD say, page by page, against the model. Fails the test that calls it. */
#ifndef TESTS_QUEUE_CHECK_PAGES_H
#define TESTS_QUEUE_CHECK_PAGES_H

#include "queue/machine.h"
#include "tests/lib/queue_model.h"

void check_pages(struct queue_machine *machine, const struct model *model);

#endif
