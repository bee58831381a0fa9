/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/stages.h"

#include "base/assert.h"

#include <stddef.h>
#include <string.h>

const struct stage_histogram *
stage_of_labels(const struct shard_stages *stages, const char *labels)
{
	static const struct {
		const char *label;
		size_t offset;
	} all[] = {
#define X(name) { "stage=\"" #name "\"", offsetof(struct shard_stages, name) },
		STAGE_TABLE(X)
#undef X
	};
	size_t i = 0;

	while (strcmp(all[i].label, labels) != 0)
		decree_assert(++i < sizeof(all) / sizeof(all[0]));
	return (const void *)((const char *)stages + all[i].offset);
}

uint64_t
stage_read(const struct stage_histogram *h, uint64_t *ret_buckets)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < STAGE_BUCKET_COUNT; i++) {
		ret_buckets[i] = atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
		count += ret_buckets[i];
	}
	return count;
}

uint64_t
stage_count(const struct stage_histogram *h)
{
	uint64_t buckets[STAGE_BUCKET_COUNT];

	return stage_read(h, buckets);
}

uint64_t
stage_quantile_ns(const uint64_t *buckets, uint32_t per_mille)
{
	uint64_t count = 0, seen = 0, wanted;
	uint32_t i = 0;

	for (uint32_t k = 0; k < STAGE_BUCKET_COUNT; k++)
		count += buckets[k];
	if (count == 0)
		return 0;
	wanted = (count * per_mille + 999) / 1000;
	while (i < STAGE_BUCKET_COUNT - 1 && (seen += buckets[i]) < wanted)
		i++;
	/* Beyond the last bound nothing is known but that. */
	return i == STAGE_BUCKET_COUNT - 1 ? 1ull << STAGE_OCTAVE_AFTER : stage_bound_ns(i);
}
