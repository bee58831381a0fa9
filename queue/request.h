/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file request.h
 * One line of a client, as a request.
 */
#ifndef QUEUE_REQUEST_H
#define QUEUE_REQUEST_H

#include "queue/protocol.h"

/**
 * @param line           [line_bytes], without its end
 * @param job_bytes_max  a put of more is ERROR with JOB_TOO_BIG; its body comes all the same, so
 *                       `bytes` is set
 */
void request_parse(const char *line, uint32_t line_bytes, uint32_t job_bytes_max,
	struct queue_request *ret_request);

/** What a line gets that is not well-formed, or a body. */
void request_error(struct queue_request *r, enum queue_reply reply);

#endif
