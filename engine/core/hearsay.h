/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file hearsay.h
 * What a node keeps of what the others have said (protocol 11.9): a row for each member.
 */
#ifndef ENG_HEARSAY_H
#define ENG_HEARSAY_H

#include "engine/core/core.h"

#define ENG_HEARSAY_ROW_BYTES     64
#define ENG_HEARSAY_ROW_COUNT_MAX (ENG_HEARSAY_BYTES / ENG_HEARSAY_ROW_BYTES)

struct eng_hearsay {
	uint16_t node_id;
	uint64_t disk;       /* first 8 bytes of its disk uuid, as the configuration has it */
	uint64_t nonce;      /* of the life that counted; 0 = none did */
	uint64_t boot_count; /* highest that it proved; 0 = none */
	struct decree_ballot promised;
	struct decree_slot accepted; /* in the life `accepted_boot` ... */
	uint64_t accepted_boot;
	struct decree_slot accepted_before; /* ... and in any life before that */
};

/** @param ret_row  [ENG_HEARSAY_ROW_BYTES] */
void eng_hearsay_encode(const struct eng_hearsay *row, uint8_t *ret_row);

/**
 * @param row  [ENG_HEARSAY_ROW_BYTES]
 * @retval 0  @retval -ENOENT  zeros: the rows end here  @retval -EBADMSG  not a row of this version
 */
int eng_hearsay_decode(const uint8_t *row, struct eng_hearsay *ret);

#endif
