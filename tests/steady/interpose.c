/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/steady/interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <rte_malloc.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACE_COUNT                                                                                \
	1024 /* threads that ever asked for anything; what more there are has no counts */

struct place {
	_Atomic int tid; /* 0: free */
	_Atomic uint64_t allocations, locks;
};

static struct place *places; /* [PLACE_COUNT] NULL: nothing is counted yet */

/* In the executable, so it needs no memory of its own to be there. A child that is forked has no
 * place until it claims one. */
static __thread struct place *own;
static __thread int own_pid;

static struct place *
claim(void)
{
	int tid = (int)syscall(SYS_gettid);

	for (struct place *p = places; p < places + PLACE_COUNT; p++) {
		int nobody = 0;

		if (atomic_compare_exchange_strong(&p->tid, &nobody, tid))
			return p;
	}
	return NULL;
}

static struct place *
find_own(void)
{
	if (places == NULL)
		return NULL;
	if (own == NULL || own_pid != getpid()) {
		own_pid = getpid();
		own = claim();
	}
	return own;
}

static void
on_allocation(void)
{
	struct place *p = find_own();

	if (p != NULL)
		atomic_fetch_add_explicit(&p->allocations, 1, memory_order_relaxed);
}

static void
on_lock(void)
{
	struct place *p = find_own();

	if (p != NULL)
		atomic_fetch_add_explicit(&p->locks, 1, memory_order_relaxed);
}

int
interpose_open(void)
{
	void *memory = mmap(NULL, PLACE_COUNT * sizeof(*places), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	places = memory;
	return 0;
}

struct interposed
interpose_read(pid_t tid)
{
	for (const struct place *p = places; p < places + PLACE_COUNT; p++)
		if (atomic_load(&p->tid) == tid)
			return (struct interposed){ atomic_load(&p->allocations),
				atomic_load(&p->locks) };
	return (struct interposed){ 0 };
}

/* Libraries and drivers shall find them. */
#pragma GCC visibility push(default)

/* ------------------------------------------------------------------------------ allocators */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *memory);

void *
malloc(size_t bytes)
{
	on_allocation();
	return __libc_malloc(bytes);
}

void *
calloc(size_t count, size_t bytes)
{
	on_allocation();
	return __libc_calloc(count, bytes);
}

void *
realloc(void *memory, size_t bytes)
{
	on_allocation();
	return __libc_realloc(memory, bytes);
}

void
free(void *memory)
{
	if (memory != NULL)
		on_allocation();
	__libc_free(memory);
}

void *
aligned_alloc(size_t alignment, size_t bytes)
{
	on_allocation();
	return __libc_memalign(alignment, bytes);
}

void *
memalign(size_t alignment, size_t bytes)
{
	on_allocation();
	return __libc_memalign(alignment, bytes);
}

int
posix_memalign(void **ret_memory, size_t alignment, size_t bytes)
{
	void *memory;

	on_allocation();
	memory = __libc_memalign(alignment, bytes);
	if (memory == NULL)
		return ENOMEM;
	*ret_memory = memory;
	return 0;
}

/* --------------------------------------------------------------------------- what stands behind */

/* The next one of that name. It is looked for once in the main thread, at the first call of each. */
#define BEHIND(name) ((__typeof__(&(name)))behind(&behind_##name, #name))

static void *
behind(void *_Atomic *known, const char *name)
{
	void *found = atomic_load_explicit(known, memory_order_relaxed);

	if (found != NULL)
		return found;
	found = dlsym(RTLD_NEXT, name);
	if (found == NULL)
		abort();
	atomic_store_explicit(known, found, memory_order_relaxed);
	return found;
}

/* X(on, type, name, parameters, arguments) */
#define FUNCTIONS(X)                                                                               \
	X(on_allocation, void *, rte_malloc, (const char *type, size_t bytes, unsigned align),     \
		(type, bytes, align))                                                              \
	X(on_allocation, void *, rte_zmalloc, (const char *type, size_t bytes, unsigned align),    \
		(type, bytes, align))                                                              \
	X(on_allocation, void *, rte_calloc,                                                       \
		(const char *type, size_t count, size_t bytes, unsigned align),                    \
		(type, count, bytes, align))                                                       \
	X(on_allocation, void *, rte_realloc, (void *memory, size_t bytes, unsigned align),        \
		(memory, bytes, align))                                                            \
	X(on_allocation, void *, rte_malloc_socket,                                                \
		(const char *type, size_t bytes, unsigned align, int socket),                      \
		(type, bytes, align, socket))                                                      \
	X(on_allocation, void *, rte_zmalloc_socket,                                               \
		(const char *type, size_t bytes, unsigned align, int socket),                      \
		(type, bytes, align, socket))                                                      \
	X(on_lock, int, pthread_mutex_lock, (pthread_mutex_t * m), (m))                            \
	X(on_lock, int, pthread_mutex_trylock, (pthread_mutex_t * m), (m))                         \
	X(on_lock, int, pthread_mutex_timedlock,                                                   \
		(pthread_mutex_t * m, const struct timespec *until), (m, until))                   \
	X(on_lock, int, pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l))                        \
	X(on_lock, int, pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l))                        \
	X(on_lock, int, pthread_rwlock_tryrdlock, (pthread_rwlock_t * l), (l))                     \
	X(on_lock, int, pthread_rwlock_trywrlock, (pthread_rwlock_t * l), (l))                     \
	X(on_lock, int, pthread_spin_lock, (pthread_spinlock_t * l), (l))                          \
	X(on_lock, int, pthread_spin_trylock, (pthread_spinlock_t * l), (l))                       \
	X(on_lock, int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t * m), (c, m))      \
	X(on_lock, int, pthread_cond_timedwait,                                                    \
		(pthread_cond_t * c, pthread_mutex_t * m, const struct timespec *until),           \
		(c, m, until))                                                                     \
	X(on_lock, int, pthread_cond_signal, (pthread_cond_t * c), (c))                            \
	X(on_lock, int, pthread_cond_broadcast, (pthread_cond_t * c), (c))                         \
	X(on_lock, int, sem_wait, (sem_t * s), (s))                                                \
	X(on_lock, int, sem_trywait, (sem_t * s), (s))                                             \
	X(on_lock, int, sem_post, (sem_t * s), (s))

#define X(on, type, name, parameters, arguments)                                                   \
	static void *_Atomic behind_##name;                                                        \
	type name parameters                                                                       \
	{                                                                                          \
		on();                                                                              \
		return BEHIND(name) arguments;                                                     \
	}
FUNCTIONS(X)
#undef X

void
rte_free(void *memory)
{
	static void *_Atomic behind_rte_free;

	if (memory != NULL)
		on_allocation();
	BEHIND(rte_free)(memory);
}

#pragma GCC visibility pop

/* ------------------------------------------------------------------------------ does it work? */

static void *
do_some(void *ret_tid)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	void *volatile memory = malloc(16);

	free(memory);
	(void)pthread_mutex_lock(&mutex);
	(void)pthread_mutex_unlock(&mutex);
	*(pid_t *)ret_tid = (pid_t)syscall(SYS_gettid);
	return NULL;
}

_Bool
interpose_works(void)
{
	struct interposed seen;
	pthread_t thread;
	pid_t tid;

	if (pthread_create(&thread, NULL, do_some, &tid) != 0 || pthread_join(thread, NULL) != 0)
		return 0;
	seen = interpose_read(tid);
	return seen.allocations >= 2 && seen.locks >= 1;
}
