/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/asker.h"

#include "base/clock.h"
#include "bench/wait.h"

static void *
ask(void *context)
{
	struct asker *a = context;
	uint64_t until = base_now_ns() + (uint64_t)(a->seconds * 1e9), begun = 0;

	for (uint64_t n = 1; begun < until && atomic_load(&a->answered) != UINT64_MAX; n++) {
		begun = base_now_ns();
		atomic_store_explicit(&a->asked, n, memory_order_release);
		while (atomic_load_explicit(&a->answered, memory_order_acquire) < n)
			wait_a_little(base_now_ns() - begun);
		histogram_add(a->times, base_now_ns() - begun);
	}
	atomic_store(&a->is_over, true);
	return NULL;
}

int
asker_begin(struct asker *a, double seconds, struct histogram *times)
{
	atomic_store(&a->asked, 0);
	atomic_store(&a->answered, 0);
	atomic_store(&a->is_over, false);
	a->seconds = seconds;
	a->times = times;
	return -pthread_create(&a->thread, NULL, ask, a);
}

uint64_t
asker_wants(const struct asker *a)
{
	uint64_t asked = atomic_load_explicit(&a->asked, memory_order_acquire);

	return asked == atomic_load_explicit(&a->answered, memory_order_relaxed) ? 0 : asked;
}

void
asker_answer(struct asker *a, uint64_t number)
{
	atomic_store_explicit(&a->answered, number, memory_order_release);
}

bool
asker_is_over(const struct asker *a)
{
	return atomic_load_explicit(&a->is_over, memory_order_relaxed);
}

void
asker_end(struct asker *a)
{
	asker_answer(a, UINT64_MAX);
	(void)pthread_join(a->thread, NULL); /* it is ours, and ends */
}
