/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steady state allocates nothing and takes no lock: this program counts every call of malloc
 * and its kin and of pthread_mutex_lock and its kin, by being the first to define them, while a
 * shard with the real core executes 100,000 commands.
 */
#include "world.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t allocations, locks;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *old);

void *
malloc(size_t bytes)
{
	allocations++;
	return __libc_malloc(bytes);
}

void *
calloc(size_t count, size_t bytes)
{
	allocations++;
	return __libc_calloc(count, bytes);
}

void *
realloc(void *old, size_t bytes)
{
	allocations++;
	return __libc_realloc(old, bytes);
}

void *
aligned_alloc(size_t alignment, size_t bytes)
{
	allocations++;
	return __libc_memalign(alignment, bytes);
}

void
free(void *old)
{
	allocations += old != NULL;
	__libc_free(old);
}

int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static int (*real)(pthread_mutex_t *);

	locks++;
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	return real(mutex);
}

int
pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	static int (*real)(pthread_rwlock_t *);

	locks++;
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_rwlock_rdlock");
	return real(lock);
}

int
pthread_spin_lock(pthread_spinlock_t *lock)
{
	static int (*real)(pthread_spinlock_t *);

	locks++;
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_spin_lock");
	return real(lock);
}

/* The counters would be worthless if nothing ever reached them. */
static void
test_the_counters_count(void **state)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint64_t allocations_before = allocations, locks_before = locks;
	void *volatile something = malloc(10);

	(void)state;
	free(something);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	assert_int_equal(allocations, allocations_before + 2);
	assert_int_equal(locks, locks_before + 1);
}

static void
run_commands(struct world *w, struct world_mailbox *mail, uint64_t count)
{
	uint64_t until = mail->completed + count;

	while (mail->completed < until) {
		while (mail->pushed < until && mail->pushed - mail->completed < 500)
			world_propose(mail, 64);
		world_turn(w);
	}
}

static void
test_a_hundred_thousand_commands_allocate_nothing_and_take_no_lock(void **state)
{
	static const uint8_t token[DECREE_UUID_BYTES] = "steady";
	struct world *w = world_new(1);
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t allocations_before, locks_before;

	(void)state;
	w->nodes[0].log.is_ring = true;
	world_elect(w);
	assert_int_equal(
		shard_gateway_open(w->nodes[0].shard, 0, token, &world_mailbox_ops, mail), 0);
	run_commands(w, mail, 5000);

	allocations_before = allocations;
	locks_before = locks;
	run_commands(w, mail, 100000);
	assert_int_equal(allocations, allocations_before);
	assert_int_equal(locks, locks_before);

	assert_int_equal(w->nodes[0].machine.count, 105000);
	world_mailbox_free(mail);
	world_free(w);
}

static void
test_three_nodes_and_forwarding_allocate_nothing_and_take_no_lock(void **state)
{
	static const uint8_t token[DECREE_UUID_BYTES] = "steady";
	struct world *w = world_new(3);
	struct world_mailbox *mail = world_mailbox_new();
	uint64_t allocations_before, locks_before;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].log.is_ring = true;
	world_elect(w);
	assert_int_equal(
		shard_gateway_open(world_follower(w)->shard, 0, token, &world_mailbox_ops, mail),
		0);
	run_commands(w, mail, 5000);

	allocations_before = allocations;
	locks_before = locks;
	run_commands(w, mail, 20000);
	assert_int_equal(allocations, allocations_before);
	assert_int_equal(locks, locks_before);

	world_mailbox_free(mail);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_counters_count),
		cmocka_unit_test(
			test_a_hundred_thousand_commands_allocate_nothing_and_take_no_lock),
		cmocka_unit_test(test_three_nodes_and_forwarding_allocate_nothing_and_take_no_lock),
	};

	return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
